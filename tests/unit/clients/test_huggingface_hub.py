"""What the instrumentor of huggingface_hub and the trigger agree on."""

from __future__ import annotations

import subprocess
import sys

from hf_openobserve.clients import table
from hf_openobserve.clients.huggingface_hub import hooks


def test_the_trigger_and_the_hooks_wait_for_the_same_modules():
    assert set(table.BY_NAME["huggingface_hub"].modules) == set(hooks.CLIENTS)


def test_the_instrumentor_imports_no_huggingface_hub():
    program = (
        "import sys\n"
        "from hf_openobserve.instrumentors.huggingface_hub import HuggingFaceHubInstrumentor\n"
        "HuggingFaceHubInstrumentor().instrument(skip_dep_check=True)\n"
        "assert 'huggingface_hub' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
