"""`make manifests`: the chart's schema, its table of values, and deploy/k8s, each from helm/ramp."""

from __future__ import annotations

import json
import shutil
import sys

from scripts.chart.comments import entries
from scripts.chart.helm import CHART, ROOT
from scripts.chart.manifests import PROFILES, files, options, rendered
from scripts.chart.schema import schema
from scripts.chart.table import with_table

PLAIN = ROOT / "deploy" / "k8s"


def main() -> int:
    found = entries((CHART / "values.yaml").read_text())
    (CHART / "values.schema.json").write_text(json.dumps(schema(found), indent=2) + "\n")
    readme = CHART / "README.md"
    readme.write_text(with_table(readme.read_text(), found))
    for folder in ("base", "overlays"):
        shutil.rmtree(PLAIN / folder, ignore_errors=True)
    made = files({profile: rendered(options(profile)) for profile in ("", *PROFILES)})
    for name, text in made.items():
        (PLAIN / name).parent.mkdir(parents=True, exist_ok=True)
        (PLAIN / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
