"""The only folder that imports Keras: the model, its training, which resumes where it was stopped, checkpoints, from
whose files arrays alone are read, predictions, and maps of where in a face the evidence for a group is.
"""
