"""German words, but figures that machines read too: widths in drawings, values of inputs, numbers in addresses.

What people read of money and dates is written by portal/templatetags/ui.py.
"""

DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = "."  # of `intcomma`, which is only for whole numbers that people read
NUMBER_GROUPING = 3
DATE_INPUT_FORMATS = ["%Y-%m-%d", "%d.%m.%Y"]
TIME_INPUT_FORMATS = ["%H:%M:%S", "%H:%M"]
DATETIME_INPUT_FORMATS = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M"]
