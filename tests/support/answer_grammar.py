# ruff: noqa: RUF001, E501
"""Answers made from a grammar of phrases, with the option that each of them chooses.

Phrases name the chosen option {x} and another one {y}. Half of the phrases (by their names'
digest) served to mend the parser, the others were only run.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

LETTERS = "ABCD"


class MadeAnswer(NamedTuple):
    """One answer.

    Attributes:
        text: the response.
        letter: of the option that it chooses, None where it chooses none.
        is_held: whether its phrase was kept apart while the parser was mended.
        phrase: that it was made from.
    """

    text: str
    letter: str | None
    is_held: bool
    phrase: str


#: What chooses {x}, whatever is said of {y}.
CHOOSING = (
    "{x}", "({x})", "{x}.", "**{x}**", "`{x}`", "\\boxed{{{x}}}", "<answer>{x}</answer>", "Answer: {x}", "answer is {x}", "The answer is ({x}).",
    "The correct answer: {x}", "I pick {x}.", "I'd opt for {x}.", "We conclude that the answer is {x}.", "Surely {x}.", "{x} is the answer.",
    "{x} is the correct one.", "Option {x} is the only one that fits.", "The most plausible choice is {x}.", "It has to be {x}.",
    "This leaves us with {x}.", "Thus, the final choice is {x}.", "In conclusion, {x} is correct.", "Out of these, I find {x} the most convincing.",
    "The answer isn't {y}, but {x}.", "Not {y}. It's {x}.", "{y} is wrong, {x} is right.", "{x}, not {y}.", "Rather {x} than {y}.",
    "It looks like {y} at first, but the answer is {x}.", "The answer is {y}... wait, no. The answer is {x}.", "I thought it was {y}. It is actually {x}.",
    "If it were {y}, there would be a sign of it; the answer is {x}.", "Is it {y}? No, it is {x}.", "Some would choose {y}, yet the correct answer is {x}.",
    "{x}\n\nExplanation: {y} is not supported.", "Option {y} can be excluded. Option {x} is correct.", '{{"answer": "{x}"}}',
    '{{"reason": "{y} fails", "answer": "({x})"}}', "<think>It should be {y}.</think>{x}", "Reasoning: {y} fails.\nFinal answer: {x}",
    "I rule out {y}, so I am left with {x}.", "Final: {x}", "My verdict: {x}.", "Everything speaks for {x}.", "{x}!!!", "I am sure that {x} is right.",
    "The evidence supports {x}.", "To sum up, the answer should be {x}", "### {x}", "Choice: [{x}]", "The right option must be {x} and not {y}.",
    "答案选{x}", "正确的选项是{x}。", "不是{y}，是{x}。", "{y}不正确，答案是{x}。", "我的答案是{x}", "{x}是正确答案。", "应该选择{x}。", "因此答案为{x}。",
    "正解は{x}です", "答えは{y}ではなく{x}です。", "{x}が正解です。", "{x}だと思います。", "したがって、答えは{x}になります。",
    "정답은 {x}이다.", "답: {x}", "{y}가 아니라 {x}가 정답입니다.", "{x}가 맞습니다.", "따라서 정답은 {x}입니다.",
    "La bonne réponse est la {x}.", "Réponse : {x}", "C'est {x}, pas {y}.", "La réponse n'est pas {y} mais {x}.", "Donc la réponse est {x}.", "{x} est correct.",
    "Die Lösung ist {x}.", "Richtig ist {x}.", "Nicht {y}, sondern {x}.", "Ich entscheide mich für {x}.", "Option {x} ist korrekt.", "Daher lautet die Antwort {x}.",
    "La respuesta correcta es la opción {x}.", "Respuesta: {x}", "No es {y}, es {x}.", "Por lo tanto, la respuesta es {x}.", "{x} es la respuesta correcta.",
    "A resposta certa é a {x}.", "Resposta: {x}", "Não é {y}, é {x}.", "Portanto, a alternativa correta é {x}.", "{x} é a resposta correta.",
    "La risposta giusta è la {x}.", "Risposta: {x}", "Non {y}, bensì {x}.", "Quindi la risposta è {x}.", "{x} è corretta.",
    "Верный ответ: {x}", "Ответ — {x}.", "Не {y}, а {x}.", "Поэтому правильный ответ {x}.", "Вариант {x} верен.",
    "الإجابة: {x}", "الخيار الصحيح هو {x}.", "ليس {y} بل {x}.", "उत्तर: {x}", "सही विकल्प {x} है।", "{y} नहीं, बल्कि {x} सही है।",
    "Cevap: {x}", "Doğru seçenek {x}.", "{y} değil, {x}.", "Đáp án: {x}", "Đáp án đúng là {x}.", "Không phải {y} mà là {x}.",
    "Jawaban yang benar adalah {x}.", "Bukan {y}, tetapi {x}.", "Pilihan {x} benar.", "Antwoord: {x}", "Prawidłowa odpowiedź to {x}.", "Svaret är {x}.",
)  # fmt: skip

#: What chooses nothing.
OPEN = (
    "It isn't {x}.", "The answer is not {x}.", "I don't think it is {x}.", "I am not convinced that the answer is {x}.", "{x} is definitely wrong.",
    "Option {x} can be ruled out.", "{x} does not fit.", "It can't be {x}.", "Neither {x} nor {y}.", "The answer might be {x} or {y}.", "{x} or {y}.",
    "{x}/{y}", "{x} and {y}", "({x}), ({y})", "Either {x} or {y}, I can't tell.", "Is the answer {x}?", "What if the answer is {x}?",
    "Suppose it is {x}.", "Unless the answer is {x}, this makes no sense.", "If the answer is {x}, the sound would differ.",
    "They say the answer is {x}.", "Many would answer {x}.", "It would be wrong to answer {x}.", "The user claims that the answer is {x}.",
    "I can't say whether it's {x} or {y}.", "I have no reason to believe that the answer is {x}.", "It is doubtful that {x} is correct.",
    "<think>The answer is {x}.", "<think>It is {x}</think>", "The answer is {x}. The answer is {y}.", "\\boxed{{{x}}} and \\boxed{{{y}}}",
    "Hardly {x}.", "The answer cannot possibly be {x}.", "No one would say {x}.", "I once believed that it was {x}.", "Not {x}, not {y}.",
    "答案不是{x}。", "{x}或者{y}", "我不认为是{x}。", "答案是{x}吗？", "如果选{x}，就说不通。", "{x}不对。", "{x}和{y}都对。",
    "答えは{x}ではない。", "{x}または{y}です。", "答えは{x}ですか？", "{x}は間違いです。", "{x}かもしれません。",
    "정답은 {x}가 아닙니다.", "{x} 또는 {y}", "정답이 {x}인가요?", "{x}는 틀렸습니다.", "만약 답이 {x}라면 이상합니다.",
    "La réponse n'est pas {x}.", "{x} ou {y}", "Est-ce {x} ?", "Je doute que ce soit {x}.", "{x} est faux.", "Si c'est {x}, on l'entendrait.",
    "Die Antwort ist nicht {x}.", "{x} oder {y}", "Ist es {x}?", "Ich bezweifle, dass es {x} ist.", "{x} ist falsch.", "Falls es {x} ist, wäre es laut.",
    "La respuesta no es {x}.", "{x} o {y}", "¿Es {x}?", "Dudo que sea {x}.", "{x} es incorrecta.", "Si es {x}, se oiría.",
    "A resposta não é {x}.", "{x} ou {y}.", "Será que é {x}?", "Duvido que seja {x}.", "{x} está errada.",
    "La risposta non è {x}.", "{x} oppure {y}", "È {x}?", "Dubito che sia {x}.", "{x} è sbagliata.",
    "Ответ не {x}.", "{x} или {y}", "Это {x}?", "Сомневаюсь, что это {x}.", "{x} неверно.", "Если это {x}, было бы слышно.",
    "الإجابة ليست {x}.", "{x} أو {y}", "هل الإجابة {x}؟", "{x} خطأ.", "उत्तर {x} नहीं है।", "{x} या {y}", "क्या उत्तर {x} है?", "{x} गलत है।",
    "Cevap {x} değil.", "{x} veya {y}", "Cevap {x} mı?", "{x} yanlış.", "Đáp án không phải {x}.", "{x} hoặc {y}", "Có phải là {x} không?", "{x} sai.",
    "Jawabannya bukan {x}.", "{x} atau {y}", "Apakah jawabannya {x}?", "{x} salah.", "Het antwoord is niet {x}.", "Odpowiedź to nie {x}.", "Svaret är inte {x}.",
)  # fmt: skip

#: Put before or after a phrase, these change nothing.
BEFORE = ("", "A man can be seen in the picture. ", "Let me think about it.\n", "Sure! ")
AFTER = ("", "\nI hope that helps.", " I listened twice.")


def made_answers() -> Iterator[MadeAnswer]:
    """Every phrase with several letters and surroundings."""
    for phrases, is_choosing in ((CHOOSING, True), (OPEN, False)):
        for number, phrase in enumerate(phrases):
            is_held = hashlib.sha256(phrase.encode()).digest()[0] % 2 == 1
            for x, y in (("A", "C"), ("B", "D"), ("C", "A"), ("D", "B")):
                before = BEFORE[(number + ord(x)) % len(BEFORE)] if len(phrase) > 14 else ""
                after = AFTER[(number + ord(y)) % len(AFTER)] if phrase[-1] in ".!" else ""
                text = before + phrase.format(x=x, y=y) + after
                yield MadeAnswer(text, x if is_choosing else None, is_held, phrase)
