"""Images: catalog, build, import, verification."""
