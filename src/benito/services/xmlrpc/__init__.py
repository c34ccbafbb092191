"""Emulab's XML-RPC, answered by Benito."""
