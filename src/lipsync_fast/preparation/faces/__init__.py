"""Faces of a clip: found by a detector and a mesh, chosen, smoothed, outlined."""
