"""The client libraries whose calls are recorded, one entry each: what is watched, and where the class is that does it.

Every Python process reads this file: it imports nothing (docs/laws.md#2).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple


class Client:
    """One library.

    ``name`` is the one that ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`` knows, and that of its entry point.
    """

    __slots__ = ("implementation", "instrumentor_class", "instrumentors", "modules", "name", "own_scopes")

    def __init__(
        self,
        name: str,
        implementation: str,
        modules: "Tuple[str, ...]",
        instrumentors: "Tuple[str, ...]",
        instrumentor_class: str,
        own_scopes: "Tuple[str, ...]" = (),
    ) -> None:
        self.name = name
        self.implementation = implementation
        """The module that has a class ``Library``, a ``contract.ClientLibrary``; imported with the first of
        ``modules``.
        """
        self.modules = modules
        """Modules whose import is watched: each has something to be replaced."""
        self.instrumentors = instrumentors
        """Modules with an ``instrumentor_class``: an application that imports one may instrument the library itself.
        Their names are also the scopes of the spans: one that begins with such a name is a call of a model.
        """
        self.instrumentor_class = instrumentor_class
        self.own_scopes = own_scopes
        """Scopes of spans in which the library itself reports its calls: each tells of one that is recorded already."""


CLIENTS = (
    Client(
        "openai",
        "hf_openobserve.clients.openai",
        modules=("openai",),
        instrumentors=(
            "openinference.instrumentation.openai",
            "opentelemetry.instrumentation.openai",
            "opentelemetry.instrumentation.openai_v2",
            "opentelemetry.instrumentation.genai.openai",
        ),
        instrumentor_class="OpenAIInstrumentor",
    ),
    Client(
        "huggingface_hub",
        "hf_openobserve.clients.huggingface_hub",
        # Where the two clients live: imported when a program touches one, not before.
        modules=("huggingface_hub.inference._client", "huggingface_hub.inference._generated._async_client"),
        instrumentors=("hf_openobserve.instrumentors.huggingface_hub",),
        instrumentor_class="HuggingFaceHubInstrumentor",
    ),
    Client(
        "litellm",
        "hf_openobserve.clients.litellm",
        modules=("litellm",),
        instrumentors=("openinference.instrumentation.litellm",),
        instrumentor_class="LiteLLMInstrumentor",
        own_scopes=("litellm",),  # of its callback "otel"
    ),
)

BY_NAME = {client.name: client for client in CLIENTS}
SCOPES = tuple([scope for client in CLIENTS for scope in client.instrumentors])
"""What the names of the scopes begin with whose spans are calls of a model."""
