"""What the page's words mean, in a sentence each, and how a page shows that."""

import html

GLOSSARY = {
    "activation map": "Where an attribute is: each cell's share of the embedding's product with the attribute's "
    "direction, which is made at this picture. With the bias's part the cells add up to it.",
    "attribute": "Something that can be said of a picture in a word, such as dome or fur. Here it is a set of ImageNet "
    "classes, and its direction the mean of their classifier's weights at this picture.",
    "backbone": "The network up to its last feature maps, which say what it sees at each place of a picture.",
    "bias": "The part of the score that belongs to no place: what the network adds to every picture. With a "
    "large bias the map explains only a part of the score.",
    "cell": "The smallest place a network tells apart: its last feature map is a grid of such cells.",
    "centre": "A map that only says 'the middle of the picture'. What matters often stands there.",
    "chance": "Random maps, measured in the same way. A map that does no better says nothing.",
    "class similarity": "Where a picture looks like the other members of its class: a map of its mean score with them.",
    "concentration": "How few places carry half of the score: the smaller the share, the narrower the look.",
    "concept": "A direction in embeddings, learnt on the sample photographs and named by what fires there.",
    "confidence": "How sure the network is of the attribute, beside how sure it is on the reference pictures.",
    "contribution": "How much one feature of the embedding adds to the score; the contributions of all add up to it.",
    "cosine of the patches": "How alike two places look to the network, -1 to 1, be they part of the score or not.",
    "deletion": "The map's strongest pixels are taken away first. The faster the score falls, the better the map.",
    "depth": "How far in front in the network a map is drawn: its last features give few large cells, layers in front "
    "of them more and smaller ones, the pixels themselves the smallest.",
    "embedding": "The list of numbers that a network makes of a picture; a score compares two of them.",
    "explainer": "A method that draws a map of which places matter. Different methods may disagree.",
    "feature": "One of the numbers of the embedding. Nobody gave it a meaning; the maps show where it fires.",
    "frozen rule": "A cell's part with everything that the network decides behind the layer held as it is at this "
    "picture: activations, norms, attention. It is exact, and what the layers add to every picture is in no cell.",
    "gallery": "A collection of pictures whose embeddings are kept, so that it can be searched.",
    "GeM": "Generalised mean pooling: exponent 1 is the average, a large exponent tends to the maximum.",
    "hit": "A picture that a search found.",
    "insertion": "The map's strongest pixels are put back first. The faster the score rises, the better the map.",
    "ledger": "The score as a sum: what comes from the places of both pictures, and what comes from the bias.",
    "MAP@R": "How well a network finds whole classes, 0 to 1: of the R others of a picture's class, how many stand "
    "among its first R hits, and how far in front.",
    "mean score": "The average of a picture's scores with several others.",
    "mean picture": "What all the photographs' embeddings have in common: it is in every score, whatever the pictures.",
    "overlap": "How far the similarity map lies where the attribute is, beyond what an even map would.",
    "path rule": "A cell's part summed up while the layer's output goes straight from a blurred picture's to the "
    "picture's. What the blurred picture scores, and a small remainder, are in no cell.",
    "pin": "A place that is held while you look: click or tap it, or press Enter; Escape lets it go.",
    "pooling": "How the cells become one embedding: avg takes their mean, max the strongest of each feature.",
    "prior": "How often more of the attribute raises the score, over many labelled pairs.",
    "region": "A part of a picture that you mark; the search then ranks by what that part carries of the score.",
    "reference pictures": "The sample photographs of this page, in classes; every one is compared with every other.",
    "residual": "What of the score no concept tells, and no mean: the smaller, the more the concepts say.",
    "score": "The cosine of the two embeddings, -1 to 1. What counts as high differs from network to network.",
    "series": "A network at several steps of its training, as the training kept it.",
    "share of the score": "What a place adds to the score (red) or takes from it (blue), in units of the score.",
    "step": "How often the training has changed the weights by then; at step 0 it has not begun.",
    "typical": "The member of a class with the highest mean score with the other members.",
    "verdict": "How exact the split into places is. Exact: the cells add up to the score. Exact at this input: so "
    "they do, with the head's statistics held. Black box: this network's score is no sum over places.",
    "view": "The part of a picture, and its size, that the network gets to see.",
    "what-if": "A pooling that the network was not trained with: the numbers are right, but it never learned to be "
    "used so.",
}


def term(word: str, shown: str = "") -> str:
    """A word of the glossary that explains itself on hover, tap and focus; shown as it is or as another text."""
    meaning = html.escape(GLOSSARY[word])
    return f'<button type="button" class="term" aria-description="{meaning}">{html.escape(shown or word)}</button>'


def terms(*words: str) -> str:
    """A line of such words."""
    return f'<p class="terms">{" ".join(map(term, words))}</p>'
