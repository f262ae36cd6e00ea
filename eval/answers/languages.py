# ruff: noqa: RUF001, E501
"""How answers are stated, denied and doubted in each language: data for regular expressions.

Each entry is a fragment of a regular expression without groups that capture. Letters and texts of
options are not part of it: ``states`` stands right before one, ``affirms`` and ``denies`` right
after one, ``negates`` and ``doubts`` anywhere before one in its clause or sentence.
"""

import unicodedata

from eval.answers.english import ENGLISH
from eval.answers.phrases import Phrases

LANGUAGES: dict[str, Phrases] = {
    "English": ENGLISH,
    "Chinese": Phrases(
        states=(
            r"(?:答案|正解|结论|結論|选项|選項|答)(?:应该|應該|应|應|就|肯定|一定|必须|显然|最终|可能|很可能|大概)?"
            r"(?:是|为|為|选|選)?",
            r"(?:正确|正確|最佳|合适|合適|符合|恰当|接近)的?(?:答案|选项|選項|一项|选择|描述)?(?:应该|應該|应|應|就)?"
            r"(?:是|为|為|选|選)",
            r"(?:故|因此|所以|应|應|该|該|应该|應該|我|就|只能|最终|因而|于是|便|则)*(?:选择|選擇|选|選)(?:择|擇)?(?:是|了)?",
            r"(?:应该|應該|应|應|就|肯定|一定|必定|只能|我认为|我認為|我觉得|我想)是",
        ),
        affirms=(
            r"(?:是|才是|最|就是|为|符合|更|项|項|选项|選項)*(?:正确|正確|对的|對的|合适|合適|符合|恰当|准确|答案|吻合|接近)"
            r"(?!吗|嗎|么)",
            r"[::]?\s?(?:正确|对)",
        ),
        negates=(
            r"不", r"非", r"没", r"沒", r"无法", r"無法", r"别", r"排除", r"错误", r"錯誤", r"而非", r"未", r"难以",
            r"難以",
        ),
        denies=(
            r"(?:选项|選項|项|項|也|都|并|並|显然|肯定|均|则|就|是|[和与]?)*(?:不|错|錯|并非|並非|没有|被排除|可以?排除|有误|不对)",
            r"[::]\s?(?:错|不|否)",
        ),
        doubts=(r"如果", r"假如", r"假设", r"假設", r"若", r"要是", r"是否", r"是不是", r"也许", r"也許", r"或许", r"有人",
        r"可能是", r"起初",
                r"原以为", r"本来", r"一开始", r"先看", r"不确定", r"难道", r"为什么", r"他说", r"她说", r"有些人", r"之间"),
        joins=(r"或者?", r"和", r"与", r"與", r"及", r"以及", r"还是", r"還是", r"跟"),
        fills=(r"的", r"是", r"为", r"选", r"项", r"选项", r"選項", r"字母", r"择", r"应", r"最", r"很", r"可能",
        r"第"),
        concludes=(r"所以", r"因此", r"故", r"那么", r"综上", r"綜上", r"不对", r"等等", r"最终", r"哦", r"其实", r"应该",
        r"更正", r"而是", r"只有"),
        declines=(r"无法", r"無法", r"抱歉", r"不知道", r"对不起", r"不确定", r"都不", r"以上都", r"不能"),
    ),
    "Japanese": Phrases(
        states=(
            r"(?:答え|答|正解|回答|解答|解|選択肢|結論|正答)(?:として)?(?:は|が|も)?",
            r"(?:正しい|適切な|最適な|近い|合う|正解な)(?:の|もの|選択肢|答え)(?:は|が)",
        ),
        affirms=(
            r"(?:番|の選択肢)?(?:です|だ|である|になります|となります|と思(?:います|う)|でしょう|だろう|と考えられます|だと思(?:います|う))(?!か)",
            r"(?:が|は|こそ)(?:最も|一番|もっとも)?(?:正解|正しい|適切|答え|最適|合|妥当|当てはま)",
            r"を(?:選|答え)",
        ),
        denies=(
            r"(?:では|じゃ|とは)(?:な|あり|思)", r"で(?:な|はな)",
            r"(?:は|も|が)(?:違|誤|間違|正しくな|不正解|適切では|不適切|ありえ|あり得|考えにく|除外|合わな|合いま|適切でな)",
            r"とは(?:言え|限ら)", r"を除", r"は正解では", r"が正解では", r"が正しい(?:とは|わけ)", r"だとは思",
        ),
        doubts=(r"もし", r"仮に", r"最初は", r"たぶん違", r"例えば"),
        joins=(r"または", r"または", r"か", r"と", r"や", r"もしくは", r"あるいは", r"及び"),
        fills=(r"は", r"が", r"、", r"選択肢", r"おそらく", r"多分", r"たぶん", r"やはり"),
        concludes=(r"したがって", r"よって", r"だから", r"つまり", r"いや", r"そのため", r"従って", r"ゆえに", r"訂正"),
        declines=(r"わかりません", r"分かりません", r"できません", r"申し訳", r"不明", r"どれも"),
    ),
    "Korean": Phrases(
        states=(r"(?:정답|답변|해답|답|결론|선택)(?:은|는|이|가)?", r"(?:옳은|맞는|올바른)\s?(?:것|답|선택지)(?:은|는)"),
        affirms=(
            r"\s?(?:번|번이|번입니다)?(?:입니다|이다|예요|이에요|라고\s생각|인\s것\s같)",
            r"\s?(?:번)?(?:이|가)\s?(?:가장\s)?(?:정답|맞|옳|적절|답|올바)",
            r"\s?(?:번)?(?:을|를)\s?(?:선택|고르|고릅|택)",
        ),
        negates=(r"틀린", r"오답"),
        denies=(
            r"\s?(?:번)?(?:이|가|은|는|도)?\s?(?:정답이\s|정답은\s|답이\s|맞지\s|옳지\s)?(?:아니|아닙|아닌|않|틀|오답|맞지\s않|"
            r"제외)",
                r"\s?(?:이라고|라고)는?\s(?:할\s수\s없|생각하지)", r"\s?(?:이|가)\s정답이라고(?:는)?\s(?:할\s수\s없|생각하지)"),
        doubts=(r"만약", r"만일", r"혹시", r"처음에는", r"예를\s들어"),
        joins=(r"또는", r"혹은", r"이나", r"나", r"와", r"과", r"그리고"),
        fills=(r"은", r"는", r"아마", r"아마도", r"바로", r"옵션", r"선택지", r"보기"),
        concludes=(r"따라서", r"그러므로", r"그래서", r"즉", r"아니", r"결국"),
        declines=(r"알\s수\s없", r"죄송", r"모르겠", r"없습니다"),
    ),
    "French": Phrases(
        states=(
            r"\b(?:r[ée]ponse|choix|solution)\b[^.,;!?\n\ue100-\uf8ff]{0,30}(?:\best|"
            r"\bserait|\bdoit\s[êe]tre|:)",
            r"\br[ée]ponse\b",
            r"\bje\s(?:choisis|prends|pense\sque\sc'est|dirais|opte\spour|s[ée]lectionne|"
            r"crois\sque\sc'est|pense)", r"\bc'est", r"\bil\ss'agit\sde",
            r"\bla\s(?:bonne|correcte)\sest",
        ),
        affirms=(
            r"\sest\s(?:donc\s)?(?:la\s|l')?(?:bonne|correcte?|juste|exacte?|vraie?|r[ée]ponse|"
            r"meilleure|seule)",
                 r"\sconvient", r"\sme\sparait"),
        negates=(r"pas", r"ni", r"jamais", r"aucune?", r"plut[ôo]t\sque", r"sauf", r"exclu\w*",
        r"faux", r"doute"),
        denies=(
            r"\s(?:n'est|ne\s|n'|est\s(?:faux|fausse|incorrecte?|erron|[ée]limin|exclu|mauvais))",),
        doubts=(r"si\s(?:la|c'est|le|on|il|elle|une?|les)", r"peut-[êe]tre", r"pourrait", r"est-ce",
        r"supposons", r"certains", r"d'abord\spens", r"s'il"),
        joins=(r"ou", r"et"),
        fills=(r"la", r"le", r"lettre", r"option", r"r[ée]ponse", r"probablement", r"donc", r"que",
        r"bien", r"correcte"),
        concludes=(r"mais", r"donc", r"ainsi", r"finalement", r"probablement", r"non", r"en\sfait",
        r"alors", r"plut[ôo]t"),
        declines=(r"je\sne\s(?:sais|peux)", r"d[ée]sol[ée]", r"impossible\sde", r"aucune\sde"),
    ),
    "German": Phrases(
        states=(
            r"\b(?:antwort|l[öo]sung|wahl)(?:m[öo]glichkeit)?\b[^.,;!?\n\ue100-\uf8ff]{0,30}"
            r"(?:\bist|\blautet|\bw[äa]re|:)",
            r"\b(?:antwort|l[öo]sung)\b",
            r"\bich\s(?:w[äa]hle|nehme|denke|glaube|tippe\sauf|entscheide\smich\sf[üu]r|"
            r"w[üu]rde\s(?:sagen|w[äa]hlen))", r"\bes\s(?:ist|muss)", r"\brichtig\sist",
            r"\bkorrekt\sist", r"\bdas\sist",
        ),
        affirms=(
            r"\sist\s(?:also\s|daher\s|somit\s|wohl\s)?(?:die\s)?(?:richtig\w*|korrekt\w*|"
            r"antwort|zutreffend|beste|einzig\w*)",
                 r"\s(?:passt|stimmt|trifft\szu)(?!\snicht)", r"\s(?:w[\u00e4a]hlen|nehmen)\b"),
        negates=(r"nicht", r"kein\w*", r"weder", r"noch", r"nie", r"statt", r"anstelle",
        r"au[ßs]+er", r"falsch\w*", r"ohne", r"bezweif\w*", r"ausgeschlossen"),
        denies=(
            r"\s(?:ist|war|kann|passt|stimmt|trifft|scheidet|w[äa]re|"
            r"f[äa]llt)\s(?:\w+\s){0,2}?(?:nicht|falsch|ausgeschlossen|aus|unwahr\w*|weg|"
            r"unm[öo]glich|inkorrekt)",),
        doubts=(r"ob", r"wenn", r"falls", r"k[öo]nnte\w*", r"angenommen", r"manche", r"einige",
        r"zuerst", r"w[äa]re", r"zun[äa]chst", r"anfangs"),
        joins=(r"oder", r"und", r"sowie", r"beziehungsweise", r"bzw\.?"),
        fills=(r"die", r"der", r"das", r"buchstabe", r"option", r"antwort", r"wohl",
        r"wahrscheinlich", r"also", r"eindeutig", r"dass", r"es", r"richtige", r"sein"),
        concludes=(r"aber", r"also", r"daher", r"somit", r"folglich", r"deshalb", r"nein", r"doch",
        r"sondern", r"wahrscheinlich", r"vermutlich"),
        declines=(r"wei[ßs]+\s(?:es\s)?nicht", r"leider", r"kann\s(?:\w+\s){0,3}nicht",
        r"keine\sder"),
    ),
    "Spanish": Phrases(
        states=(
            r"\b(?:respuesta|opci[óo]n|soluci[óo]n|alternativa)\b[^.,;!?\n\ue100-\uf8ff]{0,3"
            r"0}(?:\bes|\bser[íi]a|\bdebe\sser|:)",
            r"\brespuesta\b",
            r"\b(?:elijo|escojo|elegir[íi]a|selecciono|me\squedo\scon|dir[íi]a\s(?:que\s)?|"
            r"escoger[íi]a|opto\spor|"
            r"creo\sque|pienso\sque)", r"\b(?:correct[ao])\ses", r"\bes\sla",
        ),
        affirms=(
            r"\ses\s(?:por\stanto\s)?(?:la\s|el\s|lo\s)?(?:correct[ao]|respuesta|opci[óo]n|"
            r"mejor|adecuad[ao]|m[áa]s\s\w+|[úu]nica|verdader[ao]|acertada)",),
        negates=(r"ni", r"nunca", r"jam[áa]s", r"tampoco", r"en\slugar\sde", r"en\svez\sde",
        r"excepto", r"descart\w*", r"dudo", r"incorrect\w*", r"fals[ao]"),
        denies=(
            r"\s(?:no\s|tampoco|es\s(?:incorrect|fals|err[óo]ne|imposible|improbable)|"
            r"est[áa]\s(?:mal|descartad|equivocad)|queda\sdescartad)",),
        doubts=(r"si\s(?:la|el|fuera|es|hay|se)", r"podr[íi]a", r"quiz[áa]s?", r"tal\svez",
        r"acaso", r"supong\w*", r"algunos", r"al\sprincipio", r"primero\spens"),
        joins=(r"o", r"y", r"u"),
        fills=(r"la", r"el", r"letra", r"opci[óo]n", r"respuesta", r"probablemente", r"claramente",
        r"que", r"es", r"sea"),
        concludes=(r"pero", r"entonces", r"por\s(?:lo\s)?tanto", r"as[íi]\sque", r"luego",
        r"finalmente", r"sino", r"mejor\sdicho", r"probablemente"),
        declines=(r"no\s(?:lo\s)?s[ée]", r"lo\ssiento", r"no\spuedo", r"ninguna\sde"),
    ),
    "Portuguese": Phrases(
        states=(
            r"\b(?:resposta|op[çc][ãa]o|solu[çc][ãa]o|alternativa|"
            r"gabarito)\b[^.,;!?\n\ue100-\uf8ff]{0,30}(?:\s[ée]\b|\bseria|\bdeve\sser|:)",
            r"\bresposta\b",
            r"\b(?:escolho|seleciono|marco|acho\sque\s(?:[ée]|seja)?|diria\sque|fico\scom|"
            r"opto\spor|acredito\sque)",
            r"\bcorret[ao]\s[ée]",
        ),
        affirms=(
            r"\s(?:[ée]|est[áa])\s(?:portanto\s)?(?:a\s|o\s)?(?:corret[ao]|resposta|cert[ao]|"
            r"alternativa|op[çc][ãa]o|melhor|mais\s\w+|[úu]nica)",),
        negates=(r"n[ãa]o", r"nem", r"em\svez\sde", r"exceto", r"errad[ao]", r"duvido",
        r"incorreta"),
        denies=(
            r"\s(?:n[ãa]o\b|(?:[ée]|est[áa])\s(?:errad|incorret|fals|descartad|imposs|improv))",),
        doubts=(r"se\s(?:a|o|for|fosse)", r"poderia", r"talvez", r"ser[áa]\sque", r"suponha\w*",
        r"alguns", r"pode\sser"),
        joins=(r"ou", r"e"),
        fills=(r"a", r"o", r"letra", r"op[çc][ãa]o", r"alternativa", r"resposta", r"provavelmente",
        r"que", r"[ée]", r"seja"),
        concludes=(r"mas", r"portanto", r"ent[ãa]o", r"logo", r"assim", r"mas\ssim", r"ali[áa]s",
        r"provavelmente", r"na\sverdade"),
        declines=(r"n[ãa]o\s(?:sei|posso|consigo)", r"desculp\w*", r"nenhuma\sdas"),
    ),
    "Italian": Phrases(
        states=(
            r"\b(?:risposta|opzione|soluzione|alternativa)\b[^.,;!?\n\ue100-\uf8ff]{0,30}(?:"
            r"\s[èeé]'?\b|\bsarebbe|\bdeve\sessere|:)",
            r"\brisposta\b",
            r"\b(?:scelgo|seleziono|direi|credo\s(?:che\s)?sia|penso\s(?:che\s)?sia|"
            r"opto\sper|sceglierei)",
        ),
        affirms=(
            r"\s[èe]'?\s(?:quindi\s)?(?:la\s|quella\s|il\s)?(?:risposta|corretta|giusta|"
            r"esatta|migliore|pi[ùu]\s\w+|opzione)",),
        negates=(r"non", r"n[ée]", r"mai", r"invece\sdi", r"tranne", r"sbagliat\w*", r"dubito",
        r"piuttosto\sche", r"errat\w*"),
        denies=(r"\s(?:non\b|[èe]'?\s(?:sbagliat|errat|fals|incorrett|esclus|imposs|improb))",),
        doubts=(r"se\s(?:la|il|fosse|[èe])", r"potrebbe", r"forse", r"supponi\w*", r"alcuni",
        r"all'inizio"),
        joins=(r"o", r"oppure", r"e", r"ed"),
        fills=(r"la", r"il", r"lettera", r"opzione", r"risposta", r"probabilmente", r"che", r"sia"),
        concludes=(r"ma", r"quindi", r"dunque", r"perci[òo]", r"pertanto", r"allora", r"bens[ìi]",
        r"anzi", r"probabilmente"),
        declines=(r"non\s(?:lo\s)?so", r"non\sposso", r"mi\sdispiace", r"nessuna\sdelle"),
    ),
    "Russian": Phrases(
        states=(
            r"\b(?:ответ(?:ом)?|вариант|решение)\b[^.,;!?\n\ue100-\uf8ff]{0,30}(?::|—|-|"
            r"\bэто|\bявляется|\bбудет)?",
            r"\b(?:выбираю|выберу|думаю,?(?:\sчто)?|считаю,?(?:\sчто)?|"
            r"полагаю,?(?:\sчто)?)(?:\sэто)?", r"\bправильн\w+\s(?:—|-|это)", r"\bэто",
        ),
        affirms=(r"\s?(?:—|-|это|является)?\s?(?:правильн\w+|верн\w+|верен|подходит)",),
        negates=(r"не", r"ни", r"нет", r"вместо", r"кроме", r"неверн\w*", r"неправильн\w*",
        r"сомневаюсь", r"исключ\w*"),
        denies=(
            r"\s?(?:—|-|это|является)?\s?(?:не\b|нет\b|неверн|неправильн|ошибоч|исключ|"
            r"отпадает|невозмож)",),
        doubts=(r"если", r"ли", r"может\sбыть", r"возможно", r"предположим", r"допустим",
        r"некоторые", r"сначала", r"мог\sбы", r"может"),
        joins=(r"или", r"и", r"либо"),
        fills=(r"вариант", r"ответ", r"буква", r"скорее\sвсего", r"вероятно", r"—", r"это",
        r"под\sбуквой"),
        concludes=(r"значит", r"поэтому", r"следовательно", r"итак", r"таким\sобразом",
        r"скорее\sвсего", r"вероятно", r"а", r"нет"),
        declines=(r"не\s(?:знаю|могу)", r"извините", r"к\sсожалению", r"невозможно"),
    ),
    "Arabic": Phrases(
        states=(
            r"(?:الإجابة|الاجابة|الجواب|الخيار|الحل|إجابتي|جوابي|"
            r"الاختيار)[^.,;!?\n\ue100-\uf8ff]{0,30}?(?:هي|هو|:)?",
            r"(?:أختار|اختار|سأختار|أعتقد\sأن(?:ها|ه)?|إنه[ا]?)",
        ),
        affirms=(
            r"\s?(?:هو|هي)?\s?(?:الخيار\s|الإجابة\s|الجواب\s)?(?:الصحيح|صحيح|الأصح|الأنسب|مناسب)",),
        negates=(r"ليست?", r"لا", r"لن", r"لم", r"غير", r"بدلا", r"بدلاً", r"باستثناء", r"خطأ",
        r"وليس"),
        denies=(r"\s?(?:هو|هي)?\s?(?:ليست?|لا|خطأ|خاطئ|غير|مستبعد)",),
        doubts=(r"إذا", r"اذا", r"ربما", r"قد", r"هل", r"لو", r"بعض", r"إن\sكان"),
        joins=(r"أو", r"او", r"و", r"أم"),
        fills=(r"الحرف", r"الخيار", r"الإجابة", r"هو", r"هي", r"حرف", r"رقم", r"بالتأكيد"),
        concludes=(r"لذلك", r"إذن", r"إذًا", r"بل", r"لذا", r"وبالتالي"),
        declines=(r"لا\s(?:أعرف|أعلم|أستطيع|يمكن)", r"عذرا", r"آسف"),
    ),
    "Hindi": Phrases(
        states=(r"(?:उत्तर|जवाब|विकल्प)[^.,;!?।\n\ue100-\uf8ff]{0,20}?(?:है|:)?",
        r"(?:मैं|मेरा\sचुनाव|मेरी\sपसंद)"),
        affirms=(
            r"\s?(?:ही\s)?(?:सबसे\s)?(?:सही|उत्तर|ठीक|उचित|उपयुक्त)(?:\s(?:उत्तर|विकल्प|"
            r"जवाब))?\sहै", r"\s?(?:है|को\sचुन|चुन)(?!\sया)"),
        negates=(r"गलत", r"ग़लत", r"के\sबजाय", r"नहीं"),
        denies=(r"\s?(?:सही\s|उत्तर\s|विकल्प\s|जवाब\s|भी\s|तो\s)*(?:नहीं|गलत|ग़लत|के\sबजाय)",),
        doubts=(r"अगर", r"यदि", r"शायद", r"क्या", r"मान\sलो", r"कुछ\sलोग"),
        joins=(r"या", r"और", r"अथवा"),
        fills=(r"विकल्प", r"उत्तर", r"ही"),
        concludes=(r"इसलिए", r"अतः", r"तो", r"बल्कि"),
        declines=(r"पता\sनहीं", r"नहीं\sजान", r"क्षमा", r"माफ"),
    ),
    "Turkish": Phrases(
        states=(
            r"\b(?:(?:do[ğg]ru\s)?(?:cevap|cevab[ıi]m?|yan[ıi]t[ıi]?m?|se[çc]enek|"
            r"[şs][ıi]k)(?:\solarak)?)\b[^.,;!?\n\ue100-\uf8ff]{0,15}:?",
        ),
        affirms=(
            r"(?:'?(?:d[ıiuü]r|t[ıiuü]r))\b",
            r"\s?(?:[şs][ıi]kk[ıi]|se[çc]ene[ğg]i)?(?:'?y[ıi])?\s?(?:do[ğg]ru(?!\sde[ğg]il)|"
            r"se[çc]iyorum|olmal[ıi])",
        ),
        negates=(r"yanl[ıi][şs]",),
        denies=(
            r"(?:'?\w{0,3})?\s?(?:[şs][ıi]kk[ıi]|se[çc]ene[ğg]i)?\s?(?:do[ğg]ru\s)?(?:de[ğg]il"
            r"\w*|yanl[ıi][şs]|olamaz)",),
        doubts=(r"e[ğg]er", r"belki", r"acaba"),
        joins=(r"veya", r"ve", r"ya\sda", r"ile"),
        fills=(r"se[çc]enek", r"[şs][ıi]k", r"kesinlikle", r"muhtemelen"),
        concludes=(r"dolay[ıi]s[ıi]yla", r"yani", r"bu\sy[üu]zden", r"bu\snedenle", r"hay[ıi]r"),
        declines=(r"bilmiyorum", r"[üu]zg[üu]n[üu]m", r"belirlenem\w*"),
    ),
    "Vietnamese": Phrases(
        states=(
            r"(?:đáp\sán|câu\strả\slời|phương\sán|lựa\schọn|"
            r"trả\slời)[^.,;!?\n\ue100-\uf8ff]{0,25}?(?:\slà|:)?", r"(?:tôi|mình|em)?\s?chọn"),
        affirms=(
            r"\s(?:là\s)?(?:đáp\sán\s|câu\strả\slời\s|phương\sán\s|lựa\schọn\s)?(?:đúng|"
            r"chính\sxác|phù\shợp)",),
        negates=(r"không", r"chẳng", r"sai", r"thay\svì", r"chứ\skhông", r"loại"),
        denies=(r"\s(?:là\s)?(?:không|sai|chưa|bị\sloại)",),
        doubts=(r"nếu", r"có\sthể", r"liệu", r"có\slẽ\slà\skhông", r"giả\ssử"),
        joins=(r"hoặc", r"và", r"hay"),
        fills=(r"là", r"phương\sán", r"đáp\sán", r"chắc\schắn", r"câu"),
        concludes=(r"vậy", r"do\sđó", r"vì\svậy", r"nên", r"mà\slà"),
        declines=(r"không\s(?:biết|thể)", r"xin\slỗi"),
    ),
    "Indonesian": Phrases(
        states=(
            r"\b(?:jawaban(?:nya|ku)?|pilihan(?:nya|ku)?|opsi|"
            r"jawapan)\b[^.,;!?\n\ue100-\uf8ff]{0,25}?(?:\badalah|\bialah|\byaitu|\bialah|:)?",
                r"\b(?:saya|aku)\s(?:akan\s)?(?:memilih|pilih)"),
        affirms=(
            r"\s(?:adalah\s|yang\s|merupakan\s)?(?:jawaban|"
            r"pilihan)?\s?(?:yang\s)?(?:paling\s)?(?:benar|tepat|betul|sesuai)",),
        negates=(r"bukan(?:lah)?", r"tidak", r"daripada", r"kecuali", r"salah",
        r"melainkan\sbukan"),
        denies=(r"\s(?:adalah\s|itu\s|jelas\s)?(?:bukan|tidak|salah|keliru)",),
        doubts=(r"jika", r"kalau", r"mungkin", r"apakah", r"andaikan"),
        joins=(r"atau", r"dan"),
        fills=(r"adalah", r"opsi", r"pilihan", r"huruf", r"pasti", r"yang", r"benar", r"tepat"),
        concludes=(r"jadi", r"maka", r"oleh\skarena\situ", r"melainkan", r"tetapi", r"tapi"),
        declines=(r"tidak\s(?:tahu|bisa|dapat)", r"maaf"),
    ),
    "Dutch": Phrases(
        states=(r"\bantwoord\b[^.,;!?\n\ue100-\uf8ff]{0,25}(?:\bis|:)",
        r"\bik\s(?:kies|denk)(?:\svoor|\sdat\shet)?", r"\bantwoord\b", r"\bhet\sis"),
        affirms=(r"\sis\s(?:het\s)?(?:juist\w*|correct\w*|goed\w*|antwoord)",),
        negates=(r"niet", r"geen", r"noch", r"onjuist\w*"),
        denies=(r"\s(?:is\s)(?:niet|fout|onjuist|verkeerd)",),
        doubts=(r"als\shet", r"misschien"),
        joins=(r"of", r"en"),
        fills=(r"het", r"optie", r"antwoord", r"waarschijnlijk"),
        concludes=(r"dus", r"daarom", r"maar"),
        declines=(r"weet\s(?:het\s)?niet", r"helaas"),
    ),
    "Polish": Phrases(
        states=(r"\bodpowied[źz]\w*\b[^.,;!?\n\ue100-\uf8ff]{0,25}?(?:\bto|\bjest|:|-)?",
        r"\b(?:wybieram|my[śs]l[ęe],?\s[żz]e)(?:\sto)?"),
        affirms=(r"\sjest\s(?:poprawn\w*|prawid[łl]ow\w*|w[łl]a[śs]ciw\w*)",),
        negates=(r"nie", r"ani", r"zamiast", r"b[łl][ęe]dn\w*"),
        denies=(r"\s(?:nie|jest\s(?:b[łl][ęe]dn|niepoprawn|nieprawid))",),
        doubts=(r"je[śs]li", r"mo[żz]e", r"czy"),
        joins=(r"lub", r"albo", r"i", r"oraz"),
        fills=(r"opcja", r"odpowied[źz]", r"litera"),
        concludes=(r"wi[ęe]c", r"zatem", r"dlatego", r"lecz", r"ale"),
        declines=(r"nie\swiem", r"niestety", r"przepraszam"),
    ),
    "others": Phrases(
        states=(
            r"\b(?:rätta|riktige|rigtige)?\s?svar(?:et)?\b[^.,;!?\n\ue100-\uf8ff]{0,20}(?:\b"
            r"är|\ber|:)", r"\bjag\sväljer", r"\bjeg\svelger",
            r"\bвідповідь\b[^.,;!?\n\ue100-\uf8ff]{0,20}?(?:—|-|:|\bце)?",
            r"\bodpověď\b[^.,;!?\n\ue100-\uf8ff]{0,20}?(?:\bje|:)?",
            r"คำตอบ(?:ที่ถูกต้อง)?(?:คือ|:)?", r"ตอบ", r"เลือก",
            r"(?:پاسخ|گزینه|جواب)[^.,;!?\n\ue100-\uf8ff]{0,20}?",
            r"απάντηση\b[^.,;!?\n\ue100-\uf8ff]{0,20}(?:είναι|:)",
            r"התשובה[^.,;!?\n\ue100-\uf8ff]{0,20}?(?:היא|הינה|:)?",
            r"উত্তর[^.,;!?\n\ue100-\uf8ff]{0,12}?",
            r"\brăspunsul\b[^.,;!?\n\ue100-\uf8ff]{0,20}(?:\beste|\be|:)",
            r"\bválasz\w*\b[^.,;!?\n\ue100-\uf8ff]{0,20}?:?",
            r"\bvastaus\b[^.,;!?\n\ue100-\uf8ff]{0,20}(?:\bon|:)",
        ),
        affirms=(r"\s?(?:صحیح|درست)\sاست", r"\s(?:är|er)\s(?:rätt|riktig\w*|korrekt\w*)",
        r"\s?ถูกต้อง", r"\s?(?:সঠিক)"),
        negates=(r"inte", r"ikke", r"ไม่", r"δεν", r"לא", r"אינה", r"není", r"ne", r"nu", r"nem",
        r"ei", r"ej"),
        denies=(r"\s?(?:نیست|غلط|نادرست|নয়|না\b|ভুল|ไม่|ผิด)",
        r"\s(?:är|er)\s(?:inte|ikke|fel|feil|forkert)", r"\s(?:není|nem)"),
        doubts=(r"om\sdet", r"kanske", r"kanskje", r"якщо", r"ถ้า", r"اگر", r"যদি"),
        joins=(r"eller", r"och", r"og", r"หรือ", r"และ", r"یا", r"বা", r"або", r"nebo", r"sau"),
        fills=(r"alternativ", r"alternativet", r"ข้อ", r"گزینه", r"варіант", r"är", r"er"),
        concludes=(r"så", r"därför", r"derfor", r"ดังนั้น", r"отже", r"takže"),
        declines=(r"vet\s(?:inte|ikke)", r"ไม่ทราบ", r"نمی\u200cدانم"),
    ),
}  # fmt: skip


def fragments(kind: str) -> list[str]:
    """The forms of one kind in all languages, longest first, each once."""
    found = {
        unicodedata.normalize("NFKC", form)
        for phrases in LANGUAGES.values()
        for form in getattr(phrases, kind)
    }
    return sorted(found, key=lambda form: (-len(form), form))
