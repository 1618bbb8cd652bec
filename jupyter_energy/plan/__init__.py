"""The simple changes that cut what a job emits: where, when and how it runs. Pure functions.

Dodge et al. 2022 (doi 10.1145/3531146.3533234) found that region matters most, then pausing for
long jobs, then the start for short ones; each is told with its range, its source and its price, and
what saves less than `LEAST_SAVING` is not told at all. "Saved" is what the same signal attributes
less to the job: no claim of what a grid does.
"""

# Advice that saves a smaller share is hidden (carbon.md 6).
LEAST_SAVING = 0.02
