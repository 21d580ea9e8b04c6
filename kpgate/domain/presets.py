"""Providers by name: where each is, which API it speaks, how it takes a credential, and where it differs from that API.

One table, a row a provider. It knows neither settings nor any dialect; what a quirk is stands in `quirks`.
Source: each row's page is the vendor's own; addresses, and who knows `max_tokens` alone, are also as the tables of
LiteLLM 1.110.2 have them; what is less well documented is said beside its row (all checked November 2026). Who is not
known to take the role `developer` gets `system`, which everybody takes; who is not known to take `top_k` gets none.
"""

import re

import msgspec

from kpgate.domain.quirks import NONE, Quirks

PLACE = re.compile(r"\{(\w+)\}")


ROLES = Quirks(developer=False)
OLDER = Quirks(cap="max_tokens", developer=False)
GLM = Quirks(cap="max_tokens", developer=False, stops=1, forces=(), schema=False)
SAMPLER = Quirks(cap="max_tokens", developer=False, top_k=True)
ECHOED = ("annotations", "audio", "function_call", "refusal")
DUMPED = (*ECHOED, "reasoning_content")
"""What OpenAI's own client puts into an earlier answer that is given back as it came, and others add to it."""


class Preset(msgspec.Struct, frozen=True, gc=False):
    """A provider that is known by name.

    Shape: `base_url` may have places such as {account}, which a provider's `url_parts` fill. `responses` says that
    it has the Responses API beside chat completions, `headers` go with every call. `catalogue` is the vendor whose rows
    its models are looked up in. `local` says that it is run by the operator, and needs no credential.
    """

    title: str
    base_url: str
    source: str
    quirks: Quirks = NONE
    dialect: str = "openai"
    catalogue: str = ""
    responses: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ()
    local: bool = False

    @property
    def places(self) -> tuple[str, ...]:
        """What its address leaves open."""
        return tuple(dict.fromkeys(PLACE.findall(self.base_url)))

    def address(self, parts: dict[str, str]) -> str:
        """The base URL with its places filled. Errors: KeyError for one that is not given."""
        return PLACE.sub(lambda found: parts[found[1]], self.base_url)


PRESETS: dict[str, Preset] = {
    # Those whose dialect is their own.
    "openai": Preset(
        "OpenAI",
        "https://api.openai.com/v1",
        "https://developers.openai.com/api/docs",
        catalogue="openai",
        responses=True,
    ),
    "anthropic": Preset(
        "Anthropic",
        "https://api.anthropic.com/v1",
        "https://platform.claude.com/docs/en/api/overview",
        dialect="anthropic",
        catalogue="anthropic",
    ),
    "gemini": Preset(
        "Google Gemini API",
        "https://generativelanguage.googleapis.com/v1beta",
        "https://ai.google.dev/api",
        dialect="gemini",
        catalogue="gemini",
    ),
    "cohere": Preset(
        "Cohere",
        "https://api.cohere.com/v2",
        "https://docs.cohere.com/reference/about",
        dialect="cohere",
        catalogue="cohere",
    ),
    "bedrock": Preset(
        "Amazon Bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com",
        "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
        dialect="bedrock",
        catalogue="bedrock",
    ),
    "azure": Preset(
        "Azure OpenAI",
        "https://{resource}.openai.azure.com/openai/v1",
        "https://learn.microsoft.com/azure/ai-foundry/openai/reference",
        dialect="azure",
        catalogue="azure",
        responses=True,
    ),
    # Those that speak OpenAI.
    "azure-foundry": Preset(
        "Azure AI Foundry",
        "https://{resource}.services.ai.azure.com/openai/v1",
        "https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
        catalogue="azure-foundry",
        dialect="azure",
        responses=True,
    ),
    "baidu": Preset(
        "Baidu Qianfan",
        "https://qianfan.baidubce.com/v2",
        "https://cloud.baidu.com/doc/qianfan-api",
        ROLES,
    ),
    "cerebras": Preset(
        "Cerebras",
        "https://api.cerebras.ai/v1",
        "https://inference-docs.cerebras.ai/resources/openai",
        # `store` is an error (wrong_api_format), and so is what the vendor's own client 1.91.0 has no member for.
        Quirks(
            refused=("metadata", "prompt_cache_retention", "safety_identifier", "store", "verbosity"),
            unsaid=DUMPED,
            none=True,
        ),
        catalogue="cerebras",
    ),
    "cloudflare": Preset(
        "Cloudflare Workers AI",
        "https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1",
        "https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility",
        OLDER,
        catalogue="cloudflare",
    ),
    "dashscope": Preset(
        "Alibaba Cloud Model Studio (Qwen, DashScope)",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
        # "developer is not one of ['system', 'assistant', 'user', 'tool', 'function']" (BrainPilot issue 549).
        SAMPLER,
        catalogue="dashscope",
    ),
    "databricks": Preset(
        "Databricks model serving",
        "https://{workspace}/serving-endpoints",
        "https://docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models",
        SAMPLER,
        catalogue="databricks",
    ),
    "deepinfra": Preset(
        "DeepInfra",
        "https://api.deepinfra.com/v1/openai",
        "https://deepinfra.com/docs/openai_api",
        # A list of texts is a 422 (smolagents issue 1518), and so is `developer` (pi pull request 1578).
        Quirks(cap="max_tokens", developer=False, flat=True, top_k=True),
        catalogue="deepinfra",
    ),
    "deepseek": Preset(
        "DeepSeek",
        "https://api.deepseek.com/v1",
        "https://api-docs.deepseek.com/api/create-chat-completion",
        # "unknown variant `developer`" (pi issue 1048); "This response_format type is unavailable now" for a schema;
        # "reasoning_content is missing in assistant tool call message"; the page has texts as strings, 16 stops.
        Quirks(
            cap="max_tokens",
            cached="prompt_cache_hit_tokens",
            developer=False,
            flat=True,
            stops=16,
            schema=False,
            thinks_back=True,
        ),
        catalogue="deepseek",
    ),
    "fireworks": Preset(
        "Fireworks AI",
        "https://api.fireworks.ai/inference/v1",
        "https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        # "Extra inputs are not permitted, field: ..." of whatever is not in the vendor's own client 1.2.30.
        Quirks(
            cap="max_tokens",
            developer=False,
            refused=(
                *("audio", "modalities", "prompt_cache_retention", "safety_identifier", "store", "verbosity"),
            ),
            unsaid=(*ECHOED, "name"),
            top_k=True,
            none=True,
        ),
        catalogue="fireworks",
    ),
    "github": Preset(
        "GitHub Models",
        "https://models.github.ai/inference",
        "https://docs.github.com/en/rest/models/inference",
        headers=((b"x-github-api-version", b"2022-11-28"),),
    ),
    "groq": Preset(
        "Groq",
        "https://api.groq.com/openai/v1",
        "https://console.groq.com/docs/openai",
        # The page refuses `n` above 1, log probabilities, `logit_bias`, names; "property 'annotations' is unsupported"
        # and its like. A stream's usage in `x_groq`, `developer`, fields and the effort: the vendor's own client 1.7.0.
        Quirks(
            usage_in="x_groq",
            choices=False,
            refused=(
                *(
                    "logit_bias",
                    "logprobs",
                    "prompt_cache_key",
                    "prompt_cache_retention",
                    "safety_identifier",
                ),
                *("top_logprobs", "verbosity"),
            ),
            unsaid=(*DUMPED, "name"),
            none=True,
        ),
        catalogue="groq",
        responses=True,
    ),
    "huggingface": Preset(
        "Hugging Face router",
        "https://router.huggingface.co/v1",
        "https://huggingface.co/docs/inference-providers",
        OLDER,
    ),
    "hyperbolic": Preset(
        "Hyperbolic", "https://api.hyperbolic.xyz/v1", "https://docs.hyperbolic.xyz/docs/rest-api", OLDER
    ),
    "jina": Preset("Jina AI", "https://api.jina.ai/v1", "https://jina.ai/embeddings", catalogue="jina"),
    "meta": Preset("Meta", "https://api.meta.ai/v1", "https://dev.meta.ai/docs", ROLES, catalogue="meta"),
    "minimax": Preset(
        "MiniMax", "https://api.minimax.io/v1", "https://platform.minimax.io/docs", ROLES, catalogue="minimax"
    ),
    "mistral": Preset(
        "Mistral AI",
        "https://api.mistral.ai/v1",
        "https://docs.mistral.ai/api",
        # Release note of 2024-01-16: the last chunk has usage. Being asked is a 422 (openai-agents-python issue 442),
        # and so is every field that is not in the page, as `user`, `store` (openclaude issue 739) and members of
        # messages (litellm issue 30835, mistral-go pull request 2). Ids: "a-z, A-Z, 0-9, with a length of 9". The
        # fields that there are: the vendor's own client 3.7.0.
        Quirks(
            stream_options=False,
            cap="max_tokens",
            developer=False,
            refused=(
                *("logit_bias", "modalities", "audio", "safety_identifier", "service_tier", "store", "user"),
                *("prompt_cache_retention", "verbosity"),
            ),
            unsaid=(*DUMPED, "name"),
            seed="random_seed",
            top_k=True,
            ids=9,
            none=True,
        ),
        catalogue="mistral",
    ),
    "moonshot": Preset(
        "Moonshot AI (Kimi)",
        "https://api.moonshot.ai/v1",
        "https://platform.moonshot.ai/docs/api/chat",
        # Recorded streams of kimi-k3 and moonshot-v1 have the usage in the choice that ends. LiteLLM has that
        # `required` is no choice there, and that thoughts before calls must come back.
        Quirks(
            cap="max_tokens",
            usage_in="choice",
            cached="cached_tokens",
            developer=False,
            forces=("named",),
            thinks_back=True,
        ),
        catalogue="moonshot",
    ),
    "nebius": Preset(
        "Nebius Token Factory",
        "https://api.tokenfactory.nebius.com/v1",
        "https://docs.tokenfactory.nebius.com",
        OLDER,
        catalogue="nebius",
    ),
    "novita": Preset(
        "Novita AI",
        "https://api.novita.ai/openai/v1",
        "https://novita.ai/docs/guides/llm-api",
        SAMPLER,
        catalogue="novita",
    ),
    "nvidia": Preset(
        "NVIDIA NIM",
        "https://integrate.api.nvidia.com/v1",
        "https://docs.api.nvidia.com/nim/reference/llm-apis",
        OLDER,
    ),
    "openrouter": Preset(
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "https://openrouter.ai/docs/api-reference/overview",
        Quirks(cap="max_tokens", top_k=True, none=True),
        catalogue="openrouter",
    ),
    "perplexity": Preset(
        "Perplexity",
        "https://api.perplexity.ai",
        "https://docs.perplexity.ai/api-reference/chat-completions-post",
        # Usage is in every chunk; `stream_options` is in no list of parameters. Roles, `top_k` and how tools are chosen
        # are in the vendor's own client 0.46.1.
        Quirks(stream_options=False, cap="max_tokens", developer=False, top_k=True, forces=("required",)),
        catalogue="perplexity",
    ),
    "sambanova": Preset(
        "SambaNova",
        "https://api.sambanova.ai/v1",
        "https://docs.sambanova.ai/docs/en/features/openai-compatibility",
        SAMPLER,
        catalogue="sambanova",
    ),
    "siliconflow": Preset(
        "SiliconFlow",
        "https://api.siliconflow.com/v1",
        "https://docs.siliconflow.com/en/api-reference/chat-completions",
        SAMPLER,
    ),
    "together": Preset(
        "Together AI",
        "https://api.together.ai/v1",
        "https://docs.together.ai/docs/openai-api-compatibility",
        SAMPLER,
        catalogue="together",
    ),
    "vertex": Preset(
        "Google Vertex AI, its OpenAI surface",
        "https://{region}-aiplatform.googleapis.com/v1/projects/{project}/locations/{region}/endpoints/openapi",
        "https://cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview",
        catalogue="vertex",
    ),
    "volcengine": Preset(
        "Volcengine Ark",
        "https://ark.cn-beijing.volces.com/api/v3",
        "https://www.volcengine.com/docs/82379/1494384",
        ROLES,
        catalogue="volcengine",
    ),
    "voyage": Preset(
        "Voyage AI",
        "https://api.voyageai.com/v1",
        "https://docs.voyageai.com/reference/embeddings-api",
        catalogue="voyage",
    ),
    "xai": Preset(
        "xAI",
        "https://api.x.ai/v1",
        "https://docs.x.ai/docs/api-reference",
        # As LiteLLM 1.110.2 has it: the total is prompt, completion and reasoning.
        Quirks(reasoning_apart=True, developer=False),
        catalogue="xai",
        responses=True,
    ),
    "zai": Preset(
        "Z.ai (Zhipu, outside China)",
        "https://api.z.ai/api/paas/v4",
        "https://docs.z.ai/api-reference/llm/chat-completion",
        # The page: tools by `auto` alone, one stop sequence, text or any JSON object. Roles: plexus issue 77.
        GLM,
        catalogue="zai",
    ),
    "zhipu": Preset(
        "Zhipu BigModel",
        "https://open.bigmodel.cn/api/paas/v4",
        "https://docs.bigmodel.cn/api-reference",
        GLM,
    ),
    # Those that you run yourself.
    "litellm": Preset(
        "LiteLLM proxy",
        "http://127.0.0.1:4000/v1",
        "https://docs.litellm.ai/docs/proxy/user_keys",
        Quirks(top_k=True),
        local=True,
    ),
    "llamacpp": Preset(
        "llama.cpp server",
        "http://127.0.0.1:8080/v1",
        "https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        SAMPLER,
        local=True,
    ),
    "lmstudio": Preset(
        "LM Studio",
        "http://127.0.0.1:1234/v1",
        "https://lmstudio.ai/docs/developer/openai-compat",
        SAMPLER,
        local=True,
    ),
    "localai": Preset(
        "LocalAI", "http://127.0.0.1:8080/v1", "https://localai.io/features", SAMPLER, local=True
    ),
    "ollama": Preset(
        "Ollama",
        "http://127.0.0.1:11434/v1",
        "https://docs.ollama.com/api/openai-compatibility",
        Quirks(cap="max_tokens", choices=False, developer=False),
        local=True,
    ),
    "sglang": Preset(
        "SGLang",
        "http://127.0.0.1:30000/v1",
        "https://docs.sglang.ai/basic_usage/openai_api.html",
        Quirks(developer=False, top_k=True),
        local=True,
    ),
    "tgi": Preset(
        "Text Generation Inference",
        "http://127.0.0.1:3000/v1",
        "https://huggingface.co/docs/text-generation-inference/messages_api",
        OLDER,
        local=True,
    ),
    "vllm": Preset(
        "vLLM",
        "http://127.0.0.1:8000/v1",
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        Quirks(developer=False, top_k=True),
        local=True,
    ),
}


def named_by(base_url: str) -> str:
    """The preset whose address this is; empty where it is nobody's, or open."""
    plain = base_url.rstrip("/").lower()
    return next((name for name, one in PRESETS.items() if one.base_url == plain and not one.local), "")
