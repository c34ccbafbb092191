"""One plan a pnode, made from a topology and its assignment. Pure; JSON in and out."""
