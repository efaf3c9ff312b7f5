"""A file, a folder, a photo or the synthetic sample becomes checked faces: images, labels, clusters of near-duplicates, parts."""
