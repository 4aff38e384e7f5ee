"""Settings of the stories, one file each."""

from . import bakery, farm, garden, harbour, kitchen, library, museum, school, shopping, sports, travel, work

THEMES = tuple(
    module.THEME
    for module in (
        bakery,
        farm,
        garden,
        harbour,
        kitchen,
        library,
        museum,
        school,
        shopping,
        sports,
        travel,
        work,
    )
)
