"""What goes onto nodes besides their images: archives and packages, fetched and made into one bundle."""
