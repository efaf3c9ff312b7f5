"""A file, folder, photo or the synthetic sample becomes checked faces: images with labels, clusters of near-duplicates
among them, and the part of the data, training, validation or test, that each cluster belongs to.
"""
