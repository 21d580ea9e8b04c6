"""Providers by name: where each is, which API it speaks, how it takes a credential, and where it differs from that API.

One table, a row a provider. It knows neither settings nor any dialect; who forwards calls honours the quirks.
Source: each row's page is the vendor's own; addresses, and who knows `max_tokens` alone, are also as the tables of
LiteLLM 1.110.2 have them; what is less well documented is said beside its row (all checked November 2026).
"""

import re
from typing import Literal

import msgspec

PLACE = re.compile(r"\{(\w+)\}")


class Quirks(msgspec.Struct, frozen=True, gc=False):
    """Where a provider that speaks OpenAI differs from OpenAI.

    Shape: `stream_options` is False where the provider refuses the field: usage is then not asked for, and counted
    where it does not come by itself. `cap` is the only field in which a chat's output cap is known; empty, either is.
    `usage_in` is where the last event of a stream has the usage, where that is not the event's own `usage`. `cached`
    is the usage's own name for prompt tokens that were in the cache. `reasoning_apart` says that reasoning is no part
    of the completion's tokens. `choices` is False where `n` may not be more than 1.
    """

    stream_options: bool = True
    cap: Literal["", "max_tokens"] = ""
    usage_in: Literal["", "x_groq", "choice"] = ""
    cached: Literal["", "prompt_cache_hit_tokens", "cached_tokens"] = ""
    reasoning_apart: bool = False
    choices: bool = True

    @property
    def said(self) -> list[str]:
        """What is done about it, in words."""
        return [
            words
            for there, words in (
                (not self.stream_options, "is not asked for usage on streams"),
                (bool(self.cap), f"takes the output cap as `{self.cap}` alone"),
                (self.usage_in == "x_groq", "has a stream's usage in `x_groq`"),
                (self.usage_in == "choice", "has a stream's usage in its last choice"),
                (bool(self.cached), f"reports cached tokens as `{self.cached}`"),
                (self.reasoning_apart, "reports reasoning beside the completion's tokens"),
                (not self.choices, "answers one choice: `n` above 1 is refused"),
            )
            if there
        ]


NONE = Quirks()
OLDER = Quirks(cap="max_tokens")


class Preset(msgspec.Struct, frozen=True, gc=False):
    """A provider that is known by name.

    Shape: `base_url` may have places such as {account}, which a provider's `url_parts` fill. `credential` is the header
    and what stands before the secret, None for the dialect's own. `catalogue` is the vendor whose rows its models are
    looked up in. `local` says that it needs no credential.
    """

    title: str
    base_url: str
    source: str
    quirks: Quirks = NONE
    dialect: str = "openai"
    catalogue: str = ""
    credential: tuple[bytes, bytes] | None = None
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
        "OpenAI", "https://api.openai.com/v1", "https://developers.openai.com/api/docs", catalogue="openai"
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
        "https://{resource}.openai.azure.com",
        "https://learn.microsoft.com/azure/ai-foundry/openai/reference",
        dialect="azure",
        catalogue="azure",
    ),
    # Those that speak OpenAI.
    "azure-foundry": Preset(
        "Azure AI Foundry",
        "https://{resource}.services.ai.azure.com/openai/v1",
        "https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
        catalogue="azure-foundry",
        credential=(b"api-key", b""),
    ),
    "baidu": Preset(
        "Baidu Qianfan", "https://qianfan.baidubce.com/v2", "https://cloud.baidu.com/doc/qianfan-api"
    ),
    "cerebras": Preset(
        "Cerebras",
        "https://api.cerebras.ai/v1",
        "https://inference-docs.cerebras.ai/resources/openai",
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
        OLDER,
        catalogue="dashscope",
    ),
    "databricks": Preset(
        "Databricks model serving",
        "https://{workspace}/serving-endpoints",
        "https://docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models",
        OLDER,
        catalogue="databricks",
    ),
    "deepinfra": Preset(
        "DeepInfra",
        "https://api.deepinfra.com/v1/openai",
        "https://deepinfra.com/docs/openai_api",
        OLDER,
        catalogue="deepinfra",
    ),
    "deepseek": Preset(
        "DeepSeek",
        "https://api.deepseek.com/v1",
        "https://api-docs.deepseek.com/api/create-chat-completion",
        Quirks(cap="max_tokens", cached="prompt_cache_hit_tokens"),
        catalogue="deepseek",
    ),
    "fireworks": Preset(
        "Fireworks AI",
        "https://api.fireworks.ai/inference/v1",
        "https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        OLDER,
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
        # The page refuses `n` above 1; a stream's usage in `x_groq` is in the vendor's own client.
        Quirks(usage_in="x_groq", choices=False),
        catalogue="groq",
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
    "meta": Preset("Meta", "https://api.meta.ai/v1", "https://dev.meta.ai/docs", catalogue="meta"),
    "minimax": Preset(
        "MiniMax", "https://api.minimax.io/v1", "https://platform.minimax.io/docs", catalogue="minimax"
    ),
    "mistral": Preset(
        "Mistral AI",
        "https://api.mistral.ai/v1",
        "https://docs.mistral.ai/api",
        # Release note of 2024-01-16: the last chunk has it. Being asked is a 422 (openai-agents-python issue 442).
        Quirks(stream_options=False, cap="max_tokens"),
        catalogue="mistral",
    ),
    "moonshot": Preset(
        "Moonshot AI (Kimi)",
        "https://api.moonshot.ai/v1",
        "https://platform.moonshot.ai/docs/api/chat",
        # Recorded streams of kimi-k3 and moonshot-v1 have the usage in the choice that ends.
        Quirks(cap="max_tokens", usage_in="choice", cached="cached_tokens"),
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
        OLDER,
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
        OLDER,
        catalogue="openrouter",
    ),
    "perplexity": Preset(
        "Perplexity",
        "https://api.perplexity.ai",
        "https://docs.perplexity.ai/api-reference/chat-completions-post",
        # Usage is in every chunk; `stream_options` is in no list of parameters.
        Quirks(stream_options=False, cap="max_tokens"),
        catalogue="perplexity",
    ),
    "sambanova": Preset(
        "SambaNova",
        "https://api.sambanova.ai/v1",
        "https://docs.sambanova.ai/docs/en/features/openai-compatibility",
        OLDER,
        catalogue="sambanova",
    ),
    "siliconflow": Preset(
        "SiliconFlow",
        "https://api.siliconflow.com/v1",
        "https://docs.siliconflow.com/en/api-reference/chat-completions",
        OLDER,
    ),
    "together": Preset(
        "Together AI",
        "https://api.together.ai/v1",
        "https://docs.together.ai/docs/openai-api-compatibility",
        OLDER,
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
        Quirks(reasoning_apart=True),
        catalogue="xai",
    ),
    "zai": Preset(
        "Z.ai (Zhipu, outside China)",
        "https://api.z.ai/api/paas/v4",
        "https://docs.z.ai/api-reference/llm/chat-completion",
        OLDER,
        catalogue="zai",
    ),
    "zhipu": Preset(
        "Zhipu BigModel",
        "https://open.bigmodel.cn/api/paas/v4",
        "https://docs.bigmodel.cn/api-reference",
        OLDER,
    ),
    # Those that you run yourself.
    "litellm": Preset(
        "LiteLLM proxy",
        "http://127.0.0.1:4000/v1",
        "https://docs.litellm.ai/docs/proxy/user_keys",
        local=True,
    ),
    "llamacpp": Preset(
        "llama.cpp server",
        "http://127.0.0.1:8080/v1",
        "https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        OLDER,
        local=True,
    ),
    "lmstudio": Preset(
        "LM Studio",
        "http://127.0.0.1:1234/v1",
        "https://lmstudio.ai/docs/developer/openai-compat",
        OLDER,
        local=True,
    ),
    "localai": Preset(
        "LocalAI", "http://127.0.0.1:8080/v1", "https://localai.io/features", OLDER, local=True
    ),
    "ollama": Preset(
        "Ollama",
        "http://127.0.0.1:11434/v1",
        "https://docs.ollama.com/api/openai-compatibility",
        Quirks(cap="max_tokens", choices=False),
        local=True,
    ),
    "sglang": Preset(
        "SGLang",
        "http://127.0.0.1:30000/v1",
        "https://docs.sglang.ai/basic_usage/openai_api.html",
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
        local=True,
    ),
}


def named_by(base_url: str) -> str:
    """The preset whose address this is; empty where it is nobody's, or open."""
    plain = base_url.rstrip("/").lower()
    return next((name for name, one in PRESETS.items() if one.base_url == plain and not one.local), "")
