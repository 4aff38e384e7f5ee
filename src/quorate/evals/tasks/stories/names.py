"""First names, short enough to cost few tokens."""

# fmt: off
NAMES = (
    "Ada", "Alma", "Amir", "Ana", "Anya", "Asha", "Ben", "Bea", "Boris", "Carl", "Cara", "Chen", "Clara",
    "Cleo", "Cora", "Dana", "Dara", "Dev", "Dina", "Dora", "Eli", "Ella", "Elif", "Emil", "Emma", "Enzo",
    "Eva", "Ezra", "Fay", "Felix", "Finn", "Flora", "Gina", "Goran", "Greta", "Hana", "Hans", "Hugo", "Ida",
    "Igor", "Ines", "Iris", "Ivan", "Ivy", "Jack", "Jada", "Jana", "Jin", "Joel", "Jonas", "Jude", "June",
    "Kai", "Kamal", "Kara", "Karl", "Kim", "Kira", "Kofi", "Lars", "Lea", "Leo", "Lila", "Lina", "Liu",
    "Luca", "Lucy", "Luis", "Mara", "Mark", "Maya", "Mei", "Mia", "Milo", "Mina", "Mona", "Nadia", "Nash",
    "Nico", "Nina", "Noah", "Nora", "Olga", "Omar", "Opal", "Oscar", "Otto", "Pablo", "Paul", "Petra",
    "Pia", "Priya", "Quinn", "Rafa", "Ravi", "Rita", "Rosa", "Ruth", "Sami", "Sana", "Sara", "Sasha",
    "Seth", "Simon", "Sofia", "Sven", "Tara", "Theo", "Tia", "Tom", "Tariq", "Uma", "Vera", "Vic", "Wade",
    "Wanda", "Wen", "Xena", "Yara", "Yuki", "Yusuf", "Zane", "Zara", "Zoe",
)
# fmt: on
