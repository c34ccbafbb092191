"""Reader of NS files: a safe Tcl records, Python gives the records their meaning."""
