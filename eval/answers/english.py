"""How answers are stated, denied and doubted in English; see ``Phrases``."""

from eval.answers.phrases import Phrases

_ENGLISH_BEST = (
    r"(?:correct|right|best|final|true|most\s\w{4,12}|likel(?:y|iest)|only|closest|accurate|proper|"
    r"suitable|appropriate|plausible|strongest)"
)
_ENGLISH_THING = (
    r"(?:option|choice|one|letter|response|answer|match|fit|candidate|alternative|description|"
    r"statement|selection|conclusion|solution|guess|bet)"
)
_ENGLISH_IS = (
    r"(?:\b(?:is|was|are|be|would\sbe|should\sbe|must\sbe|will\sbe|has\sto\sbe|"
    r"ought\sto\sbe|seems\sto\sbe|"
    r"appears\sto\sbe|would\slikely\sbe|remains|becomes|comes\sout\sas)|'s|:|=|->|=>|\u2192)"
)
_ENGLISH_VERDICT = (
    r"(?:correct|right|best|true|accurate|answer|one|choice|option|match|fit|winner|better|"
    r"closest|closer|nearest|"
    r"plausible\s(?:one|option|answer|choice)|solution|way\sto\sgo|only\s\w{3,12})"
)
_ENGLISH_ADVERB = (
    r"(?:clearly|definitely|certainly|surely|obviously|probably|likely|most\slikely|also|thus|"
    r"therefore|indeed|simply|hence|then|really|actually|almost\scertainly|likely\sto\sbe|"
    r"undoubtedly|without\sdoubt|in\sfact|quite|very|far\sand\saway|by\sfar|still|only)"
)

ENGLISH = Phrases(
    states=(
        rf"\b(?:answer|solution|conclusion|verdict|guess|bet|pick|choice|selection|vote)\b"
        rf"[^.,;!?\n\ue100-\uf8ff]{{0,45}}{_ENGLISH_IS}",
        rf"\b{_ENGLISH_BEST}(?:\s\w{{3,12}})?\s{_ENGLISH_THING}\b"
        rf"[^.,;!?\n\ue100-\uf8ff]{{0,45}}{_ENGLISH_IS}",
        rf"\b{_ENGLISH_BEST}\s{_ENGLISH_THING}\b",
        r"\b(?:final\sanswer|answer|ans|correct|choose|select|pick|result|answered|response|chosen)"
        r"\s?(?::|=|->|=>|\u2192|-\s)",
        r"\bi(?:'d|'ll|'m|\swould|\swill|\shave\sto|\smust|\scan|\sshould|\sam|\sdo)?"
        r"(?:\s(?:therefore|thus|then|have\sto|rather|definitely|also|still|now|going\sto|"
        r"probably))*"
        r"\s(?:choose|pick|select|go\sfor|go\swith|went\swith|going\swith|going\sfor|"
        r"vote(?:\sfor)?|opt\sfor|end\sup\swith|"
        r"settled?\s(?:on|for)|decided?\son|opted\sfor|say|answer|guess|conclude|think|"
        r"believe|suspect|bet\son|chose|picked|"
        r"selected|choosing|picking|selecting|lean\stowards?|leaning\stowards?|reckon|"
        r"submit|mark)\b"
        r"(?:\s(?:that|it\sis|it\smust\sbe|it\shas\sto\sbe|this\sis|on|is))*",
        r"\b(?:let\sus|let's|we)\s(?:\w+ly\s)?(?:choose|pick|select|go\s(?:with|for)|"
        r"conclude|get|have)\b"
        r"(?:\sthat)?",
        r"\b(?:it\s(?:must|has\sto|can\sonly)\sbe|must\sbe|has\sto\sbe)\b",
        r"\b(?:evidence|everything|audio|sound|image|picture|this|it|that|which|all|"
        r"recording|scene)\s(?:\w+\s)?(?:supports?|"
        r"favou?rs?|suggests?|indicates?|confirms?|speaks?\sfor|points?\sto|backs|implies)\b",
        r"\b(?:picking|choosing|selecting|go(?:ing)?\swith|leaves?(?:\sus)?(?:\s(?:with|"
        r"only))?|left\swith|points?\s(?:\w+ly\s)?to|"
        r"make\s(?:it|that)|chang(?:e|ed|ing)\s(?:(?:it|that|my\sanswer|my\smind)\s)?to|"
        r"correct(?:ed)?\s(?:it|that)?\s?to|"
        r"in\sfavou?r\sof|stick\swith|sticking\swith|settled?\s(?:on|for)|decided?\son|"
        r"opted\sfor|narrows?\s(?:it\s)?down\sto)\b",
    ),
    affirms=(
        rf"(?:is|was|would\sbe|must\sbe|should\sbe|seems\sto\sbe|appears\sto\sbe|has\sto\sbe|seems|"
        rf"appears|looks\slike|looks|will\sbe|remains|being)\s(?:{_ENGLISH_ADVERB}\s)*"
        rf"(?:(?:the|my|our|a|most|more)\s)*(?:\w{{3,12}}\s){{0,2}}?{_ENGLISH_VERDICT}\b",
        rf"(?:is|seems|appears|looks)\s(?:{_ENGLISH_ADVERB}\s)*(?:the\s)?(?:most\s\w{{4,12}}|"
        rf"likel(?:y|iest)\b|more\s\w{{4,12}}\sthan|\w{{4,8}}er\sthan)",
        r"it\sis(?=\W|$)",
        r"(?:as|to\sbe)?\s?the\s(?:most\s\w{4,12}|best|correct|right|only\s\w{3,12})\b",
        r"(?:is|was|being)\smy\s(?:final\s)?(?:answer|choice|pick|guess|selection|bet)",
        r"(?:is|gets)\s(?:what\si|chosen|selected|my\svote|it\b)",
        r"(?:wins|for\ssure|for\scertain)\b",
        r"[:\-]\s?(?:yes|correct|true|right|\u2713|\u2714|\u2705)",
        r"[\u2713\u2714\u2705]",
    ),
    negates=(
        r"not", r"never", r"no", r"neither", r"nor", r"without", r"except", r"excluding", r"unlike",
        r"hardly", r"rather\sthan", r"instead\sof", r"as\sopposed\sto", r"other\sthan",
        r"different\sfrom",
        r"(?:rul|cross|weed)(?:e|ed|es|ing)?\s(?:\w+\s)?out", r"eliminat\w*", r"reject\w*",
        r"exclud\w*",
        r"discard\w*", r"dismiss\w*", r"doubt\w*", r"disagree\w*", r"wrong\sto", r"unlikely",
        r"far\sfrom",
        r"den(?:y|ies|ied)", r"anything\sbut", r"false", r"incorrect\w*", r"wrong(?:ly)?",
        r"mistake\w*",
        r"unclear", r"unsure", r"uncertain", r"refuse\w*", r"fails?", r"avoid", r"over", r"nothing",
        r"nobody", r"none", r"impossible", r"dis(?:qualif|miss|count|prov)\w*", r"skip", r"less",
        r"against", r"too\s\w+\sto", r"wouldnt", r"dont", r"isnt", r"hesita\w*", r"reluctant\w*",
        r"than",
    ),
    denies=(
        r"(?:(?:is|was|are|were|seems|looks|does|do|did|can|could|would|must|should|has|"
        r"will|appears)\s)"
        rf"(?:to\sbe\s)?(?:{_ENGLISH_ADVERB}\s|both\s|all\s)*(?:not\b|never\b|wrong|"
        rf"incorrect|false|unlikely|"
        r"ruled\sout|eliminated|impossible|out\b|un(?:supported|related|tenable)|inaccurate|"
        r"less\s|no\s|"
        r"implausible|excluded|rejected|a\sdistractor|the\sdistractor|improbable|"
        r"contradicted|irrelevant|"
        r"inconsistent|mistaken|off\b|worse|invalid|the\swrong|the\sleast|a\strap|too\s\w+|"
        r"far\sfrom|"
        r"neither|nothing|at\sodds|discarded|dismissed)",
        r"(?:can|could|must|should|has\sto|have\sto|may|"
        r"is\sto)\s(?:\w+\s)?be\s(?:\w+ly\s)?(?:ruled\sout|excluded|eliminated|rejected|"
        r"discarded|dismissed|ignored|crossed|wrong|false)",
        r"(?:makes|shows|finds?|gets|have|has)\s(?:no|little)\b",
        r"(?:option\s|choice\s|answer\s)?(?:can\snot|could\snot|fails|contradicts|lacks|misses)\b",
        r"[:\-]\s?(?:no|not|wrong|false|incorrect|\u2717|\u2718|\u274c)\b",
        r"[\u2717\u2718\u274c]", r"(?:wrong|incorrect|ruled\sout|eliminated)\b",
        r"not\s(?:correct|right|true|supported|possible|it)\b", r"out\b",
    ),
    doubts=(
        r"if", r"whether", r"unless", r"suppos\w*", r"assum\w*", r"imagin\w*", r"were", r"had\sit",
        r"pretend\w*",
        r"hypothe\w*", r"who\ssa\w*", r"why\s(?:\w+\s)?(?:not|would|is|it)", r"is\sit",
        r"would\sit", r"wonder\w*",
        r"not\s(?:sure|certain|clear|know)", r"unsure", r"tempt\w*", r"initial\w*", r"used\sto",
        r"i\s(?:\w+\s)?(?:thought|believed|assumed|figured|guessed|supposed)",
        r"i\s(?:once|originally|formerly)",
        r"(?:some|many|most|others?|one|you)\s(?:people\s|listeners\s|models\s|"
        r"viewers\s)?(?:(?:would|will|may|might|could|can|often|also)\s"
        r"(?:\w+\s)?)?(?:say|says|said|think|thinks|claim\w*|believ\w*|argu\w*|suggest\w*|"
        r"ch[o]+se|choose|answer|answered|pick\w*|"
        r"expect\w*|assum\w*|wrote|writes|be\stempted)",
        r"(?:someone|people|somebody|they|everyone|everybody|anyone|he|she|friend|"
        r"colleague)\s(?:\w+\s){0,2}(?:say|says|said|think|thinks|"
        r"thought|claim\w*|believ\w*|argu\w*|suggest\w*|ch[o]+se|choose[sn]?|answer\w*|"
        r"pick\w*|expect\w*|assum\w*|wrote|writes)",
        r"the\s(?:\w+\s)?(?:speaker|man|woman|user|teacher|student|question|prompt|sign|"
        r"text|author|narrator|voice|host|boy|girl|"
        r"person|key|example|caption|assistant|model|intern)\s(?:\w+\s){0,3}?(?:say|says|"
        r"said|claim\w*|think\w*|believ\w*|suggest\w*|"
        r"answer\w*|read\w*|wrote|writes|chose|chooses|states?|pick\w*|thought)",
        r"(?:is|was|been|be)\s(?:\w+\s)?(?:claimed|said|believed|thought|assumed|suggested|argued|alleged|"
        r"reported|supposed|rumou?red)",
        r"according\sto", r"alleged\w*", r"supposed\w*", r"as\sif", r"as\sthough", r"example",
        r"e\.g\.?", r"prove\sthat",
        r"evidence\sthat", r"what\smakes", r"hope", r"wish", r"ask\w*", r"format", r"labell?ed",
        r"would\shave\sbeen", r"in\scase",
        r"wrong\sanswer", r"incorrect\sanswer", r"second[\s-]best", r"runner[\s-]up", r"distractor",
        r"one\sby\sone",
    ),
    hedges=(
        r"might", r"may", r"could", r"can\sbe", r"at\sfirst", r"first\si", r"previous\w*",
        r"earlier", r"almost\s(?:said|chose|picked)",
        r"was\s(?:going|about)\sto", r"consider\w*", r"between", r"among", r"either", r"compare\w*",
        r"look(?:ing)?\sat", r"start(?:ing)?\swith",
        r"let\sus\s(?:check|look|see|evaluate|examine|test|consider)", r"check(?:ing)?",
        r"evaluat\w*", r"examin\w*", r"regarding",
        r"as\sfor", r"close\sto", r"tie", r"next",
        r"at\s(?:least|most)", r"up\sto", r"minus",
        r"(?:more|fewer|less|greater|higher|lower|later|earlier)\sthan",
    ),
    joins=(r"or", r"and", r"nor", r"and/or", r"as\swell\sas", r"along\swith", r"or\selse",
    r"versus", r"vs\.?", r"plus"),
    fills=(
        r"the", r"that", r"it", r"is", r"be", r"option", r"choice", r"letter", r"answer", r"number",
        r"a",
        r"an", r"definitely", r"clearly", r"certainly", r"surely", r"obviously", r"probably",
        r"likely", r"most",
        r"simply", r"either", r"indeed", r"therefore", r"thus", r"then", r"hence", r"just", r"only",
        r"with",
        r"to", r"both", r"maybe", r"perhaps", r"possibly", r"also", r"in", r"fact", r"actually",
        r"rather",
        r"almost", r"correct", r"right", r"one", r"labeled", r"marked", r"following", r"as",
        r"follows",
        r"of\scourse", r"i", r"think", r"believe", r"guess", r"would", r"say", r"still", r"now",
        r"exactly",
        r"undoubtedly", r"really", r"he", r"she", r"sounds?", r"about", r"there", r"are", r"by",
        r"far",
    ),
    concludes=(
        r"so", r"thus", r"hence", r"therefore", r"consequently", r"accordingly", r"probably",
        r"likely",
        r"most\slikely", r"definitely", r"surely", r"clearly", r"maybe", r"perhaps", r"possibly",
        r"i\sguess",
        r"i\sthink", r"actually", r"wait", r"i\smean", r"rather", r"correction", r"sorry", r"no",
        r"yes",
        r"sure", r"okay", r"ok", r"well", r"final", r"finally", r"overall", r"in\sconclusion",
        r"in\sshort",
        r"ultimately", r"certainly", r"obviously", r"my\sfinal", r"hmm", r"hm", r"oh", r"right",
        r"great",
        r"of\scourse", r"easy", r"good\squestion", r"only", r"tl;?dr", r"best\sguess",
        r"conclusion", r"but",
        r"by\selimination",
        r"taking\s[^:,]{1,30}account", r"all\sin\sall", r"in\ssum(?:mary)?", r"to\ssum\sup",
        r"all\sthings\sconsidered",
        r"instead", r"yet", r"namely", r"which\sis",
    ),
    declines=(
        r"(?:can|could)\snot\s(?:\w{1,20}\s)?(?:determine|tell|hear|see|say|answer|listen|"
        r"help|assist|access|"
        r"process|identify|view|know|decide|provide|choose|pick|play|be|make|select|judge|"
        r"comply|confirm|"
        r"analy[sz]e|open|give|verify|infer)\w*",
        r"unable", r"impossible\sto", r"not\spossible", r"not\sable", r"sorry", r"apologi[sz]e",
        r"insufficient", r"not\senough", r"(?:do|did)\snot\s(?:know|have)", r"not\ssure",
        r"none\sof\s(?:the|these|them)",
        r"no\scorrect\s(?:option|answer|choice)", r"no\sidea", r"need\smore",
        r"please\s(?:provide|upload|share)",
        r"unclear", r"not\sclear", r"hard\sto\s(?:say|tell)", r"undetermined", r"not\sprovided",
        r"decline",
        r"more\sinformation", r"as\san\sai", r"all\sof\sthe\sabove", r"skip\sthis",
    ),
)  # fmt: skip
