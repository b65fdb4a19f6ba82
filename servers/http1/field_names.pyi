KNOWN_NAMES: list[str]
SPECIAL_FIELDS: dict[str, int]
known_keys: list[tuple[bytes, str]]
