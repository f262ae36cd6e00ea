"""Which of my classes is in this picture? Zero-shot, with classes made up on the spot.

    python examples/zero_shot_own_classes.py runs/demo/run a.png b.png \
        --classes "red apple" "green apple" "pear"
"""

import argparse

import vlsuite


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="run folder, exported folder, or ARCHITECTURE:WEIGHTS")
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--classes", nargs="+", required=True)
    parser.add_argument("--template", default="an emoji of {c}", help="{c} is the class")
    args = parser.parse_args()

    model = vlsuite.load_model(args.model)
    prompts = [args.template.replace("{c}", name) for name in args.classes]
    text_embeds = vlsuite.embed_texts(model, prompts)
    image_embeds = vlsuite.embed_images(model, args.pictures)
    logits = model.logit_scale * image_embeds @ text_embeds.T + model.logit_bias
    for picture, row in zip(args.pictures, logits.softmax(dim=1), strict=True):
        share, best = row.max(dim=0)
        print(f"{picture}: {args.classes[int(best)]} ({share:.0%})")


if __name__ == "__main__":
    main()
