"""One machine: its process and what happens inside it; knows no experiment."""
