"""`python -m tandem.domain.report_schema`: the JSON schema of a Drill's report (docs/drill-report.schema.json)."""

import json
import sys

from tandem.domain.report_model import SCHEMA, DrillReport


def schema_text() -> str:
    """The schema as text."""
    schema = {"$id": SCHEMA, **DrillReport.model_json_schema(by_alias=True, mode="serialization")}
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
