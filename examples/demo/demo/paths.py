"""Where things lie in the checkout."""

from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[3]
QUICKSTART: Final = REPOSITORY / "examples" / "quickstart"
TANDEM_CHART: Final = REPOSITORY / "charts" / "tandem"
CALLCENTER_CHART: Final = REPOSITORY / "examples" / "callcenter" / "chart"
OUT: Final = REPOSITORY / "out"
BIN: Final = REPOSITORY / ".venv" / "bin"


def shown(path: Path) -> str:
    """A path as a person in the checkout types it."""
    return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else str(path)
