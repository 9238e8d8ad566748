"""What is wanted of a figure, and whether it is met: rows of a table."""


def least(what, figure, target, form="{:.2f}"):
    return what, form.format(figure), f"at least {target}", 1 - figure / target


def most(what, figure, target, form="{:.2f}"):
    return what, form.format(figure), f"at most {form.format(target)}", figure / target - 1


def inverse(what, figure, target):
    return what, f"1/{figure:.1f}", f"at most 1/{target}", 1 - figure / target


def verdict(beyond):
    return "met" if beyond <= 0 else f"**missed** by {beyond:.1%}: [why](../docs/performance.md#what-is-missed-and-why)"


def table(rows):
    lines = (f"| {what} | {figure} | {target} | {verdict(beyond)} |" for what, figure, target, beyond in rows)
    return "\n".join(["| what | measured | target | |", "|---|---|---|---|", *lines])
