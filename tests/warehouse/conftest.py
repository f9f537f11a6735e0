"""A home with one snapshot, and a second one that is ready to be published."""

from pathlib import Path

import pyarrow as pa
import pytest

from parsers.records import Descriptor
from tests.warehouse.drafts import drafted, published
from tests.warehouse.invented import assembled, day, everything, page
from warehouse.publishing import Draft
from warehouse.snapshots import current_id


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """Tables before and after a descriptor changed."""
    old, new = page(records=everything()), page(records=[Descriptor("short", "Synthetic change")])
    home = tmp_path_factory.mktemp("home")
    return assembled(home, [(old, day(1))]).tables, assembled(home, [(old, day(1)), (new, day(2))]).tables


@pytest.fixture
def home(tmp_path: Path, both: tuple[dict[str, pa.Table], dict[str, pa.Table]]) -> Path:
    """A home with one snapshot."""
    published(tmp_path, drafted(both[0], None, 1))
    return tmp_path


@pytest.fixture
def second(home: Path, both: tuple[dict[str, pa.Table], dict[str, pa.Table]]) -> Draft:
    return drafted(both[1], current_id(home), 2, both[0])
