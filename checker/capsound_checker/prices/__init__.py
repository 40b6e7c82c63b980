"""What tokens cost, exactly: from prices that the user gives, or from the table of an installed package.

In: the tokens of one call, its model, when it was made. Out: whole pico-dollars, or the reason why they are not known.
"""
