"""From a predictions table to numbers with intervals: measures, baselines, calibration, slices, groupings, the
comparison of a sweep's configurations. Nothing here needs a network: a table that was
written once is measured again without one. Intervals come from a bootstrap over clusters of near-duplicates.
"""
