"""The papers' formulas, slow and plain: python loops over float64 numbers, nothing of the code under test.

Stylianou 2019 = "Visualizing Deep Similarity Networks"; Zhu 2021 = "Visual Explanation for Deep Metric Learning".
Feature maps are arrays (C, H, W); maps are (H, W); cells are visited as (row, column).
"""

import math

import numpy as np
import torch


def cells_of(features):
    """(row, column) of every cell, row by row."""
    _, rows, columns = features.shape
    return [(row, column) for row in range(rows) for column in range(columns)]


def dot(one, other):
    return math.fsum(float(x) * float(y) for x, y in zip(one, other, strict=True))


def length(vector):
    return math.sqrt(dot(vector, vector))


# Poolings


def avg_pool(features, _exponent=None):
    cells = cells_of(features)
    return np.array([math.fsum(channel[cell] for cell in cells) / len(cells) for channel in features])


def max_pool(features, _exponent=None):
    return np.array([max(channel[cell] for cell in cells_of(features)) for channel in features])


def gem_pool(features, exponent):
    """Generalised mean of the positive part (Radenovic 2018)."""
    cells = cells_of(features)
    means = [math.fsum(max(channel[cell], 0.0) ** exponent for cell in cells) / len(cells) for channel in features]
    return np.array([mean ** (1 / exponent) for mean in means])


def avgmax_pool(features, _exponent=None):
    return np.array([(a + m) / 2 for a, m in zip(avg_pool(features), max_pool(features), strict=True)])


def catavgmax_pool(features, _exponent=None):
    return np.array([*avg_pool(features), *max_pool(features)])


def flatten_pool(features, _exponent=None):
    return np.array([channel[cell] for channel in features for cell in cells_of(features)])


POOLS = {
    "avg": avg_pool,
    "max": max_pool,
    "gem": gem_pool,
    "avgmax": avgmax_pool,
    "catavgmax": catavgmax_pool,
    "flatten": flatten_pool,
}


def max_surrogate(features):
    """Stylianou 2019, eq. 4-5: what is not a channel's maximum becomes 0, tied maxima are divided by their number."""
    surrogate = np.zeros(features.shape)
    for c, channel in enumerate(features):
        tied = [cell for cell in cells_of(features) if channel[cell] == max(channel[p] for p in cells_of(features))]
        for cell in tied:
            surrogate[c][cell] = channel[cell] / len(tied)
    return surrogate


def gem_share(features, exponent):
    """x^p / (n g^(p-1)) for every cell and channel; 0 in a channel without a positive value."""
    pooled, share = gem_pool(features, exponent), np.zeros(features.shape)
    for c, channel in enumerate(features):
        for cell in cells_of(features):
            if pooled[c] > 0:
                share[c][cell] = max(channel[cell], 0.0) ** exponent / (
                    len(cells_of(features)) * pooled[c] ** (exponent - 1)
                )
    return share


# Similarity maps of Stylianou 2019


def stylianou_avg_map(query, reference):
    """Eq. 2-3: A_q(p) . x_r / (n Z)."""
    x_q, x_r = avg_pool(query), avg_pool(reference)
    scale = length(x_q) * length(x_r) * len(cells_of(query))
    return _map_of(query, lambda cell: dot(query[:, cell[0], cell[1]], x_r) / scale)


def stylianou_max_map(query, reference):
    """Eq. 6: a^_q(p) . x_r / Z; no 1/n."""
    x_q, x_r, surrogate = max_pool(query), max_pool(reference), max_surrogate(query)
    return _map_of(query, lambda cell: dot(surrogate[:, cell[0], cell[1]], x_r) / (length(x_q) * length(x_r)))


def gem_map(query, reference, exponent):
    x_q, x_r, share = gem_pool(query, exponent), gem_pool(reference, exponent), gem_share(query, exponent)
    return _map_of(query, lambda cell: dot(share[:, cell[0], cell[1]], x_r) / (length(x_q) * length(x_r)))


def _map_of(features, value):
    result = np.zeros(features.shape[1:])
    for cell in cells_of(features):
        result[cell] = value(cell)
    return result


# Activation decomposition of Zhu 2021: x = sum over p of E(p), plus b


def gap_parts(features):
    n = len(cells_of(features))
    return {cell: np.array([channel[cell] / n for channel in features]) for cell in cells_of(features)}


def gmp_parts(features):
    surrogate = max_surrogate(features)
    return {cell: np.array([channel[cell] for channel in surrogate]) for cell in cells_of(features)}


def flat_parts(features):
    """Each cell as the flat vector with every other cell's entries 0."""
    parts = {}
    for cell in cells_of(features):
        own = np.zeros(features.shape)
        for c, channel in enumerate(features):
            own[c][cell] = channel[cell]
        parts[cell] = np.array([number for channel in own for row in channel for number in row])
    return parts


def through_fc(weight, vector):
    return np.array([dot(row, vector) for row in weight])


def through_bn(gamma, var, eps, vector):
    return np.array([g / math.sqrt(v + eps) * x for g, v, x in zip(gamma, var, vector, strict=True)])


def bn_offset(beta, gamma, mean, var, eps):
    return np.array([b - g * m / math.sqrt(v + eps) for b, g, m, v in zip(beta, gamma, mean, var, strict=True)])


def zhu_joint_map(parts_q, parts_r, bias_q, bias_r):
    """D(p, u) = E_q(p) . E_r(u) / Z as a table {(p, u): number}, and Z."""
    z = length(sum(parts_q.values()) + bias_q) * length(sum(parts_r.values()) + bias_r)
    return {(p, u): dot(e_p, e_u) / z for p, e_p in parts_q.items() for u, e_u in parts_r.items()}, z


def zhu_ledger(parts_q, parts_r, bias_q, bias_r):
    """The score's four terms: cells-cells, cells-bias, bias-cells, bias-bias."""
    joint, z = zhu_joint_map(parts_q, parts_r, bias_q, bias_r)
    return (
        math.fsum(joint.values()),
        math.fsum(dot(e, bias_r) for e in parts_q.values()) / z,
        math.fsum(dot(bias_q, e) for e in parts_r.values()) / z,
        dot(bias_q, bias_r) / z,
    )


# Grad-CAM for a pair, before its ReLU (Zhu 2021), by autograd


def grad_cam(features_q, features_r, embed, normalised):
    """w_c = mean over cells of d target / d A_q; map = sum over c of w_c A_q. ``embed`` maps (C,H,W) to a vector."""
    query = torch.tensor(features_q, requires_grad=True)
    e_q, e_r = embed(query), embed(torch.tensor(features_r)).detach()
    target = (e_q @ e_r) / (e_q.norm() * e_r.norm()) if normalised else e_q @ e_r
    (gradient,) = torch.autograd.grad(target, query)
    weights = [avg_pool(gradient[c : c + 1].numpy())[0] for c in range(len(features_q))]
    return _map_of(features_q, lambda cell: dot(weights, features_q[:, cell[0], cell[1]]))


# Pixels and cells


def bilinear_at(map, y, x):
    """The map at (y, x) in cells, cell (0, 0) covering 0..1: linear between centres, held beyond the outer ones."""
    return math.fsum(weight * float(map[cell]) for cell, weight in bilinear_weights(map.shape, y, x).items())


def bilinear_weights(grid, y, x):
    """The at most four cells around the place and their weights."""
    weights = {}
    for row, down in _two_nearest(y, grid[0]):
        for column, across in _two_nearest(x, grid[1]):
            weights[row, column] = weights.get((row, column), 0.0) + down * across
    return weights


def _two_nearest(at, cells):
    before = math.floor(at - 0.5)
    after_share = at - 0.5 - before
    held = lambda cell: min(max(cell, 0), cells - 1)
    return [(held(before), 1 - after_share), (held(before + 1), after_share)]


def bilinear(map, size):
    """The map at size (h, w), half-pixel centres."""
    (rows, columns), (h, w) = map.shape, size
    return np.array(
        [[bilinear_at(map, (i + 0.5) * rows / h, (j + 0.5) * columns / w) for j in range(w)] for i in range(h)]
    )


def covered_share(mask, grid):
    """Share of each cell's area that lies under True pixels of the mask."""
    (h, w), (rows, columns) = mask.shape, grid
    shares = np.zeros(grid)
    for row in range(rows):
        for column in range(columns):
            for i in range(h):
                for j in range(w):
                    down = _overlap(i, i + 1, row * h / rows, (row + 1) * h / rows)
                    across = _overlap(j, j + 1, column * w / columns, (column + 1) * w / columns)
                    shares[row, column] += mask[i][j] * down * across * rows * columns / (h * w)
    return shares


def _overlap(start, stop, other_start, other_stop):
    return max(0.0, min(stop, other_stop) - max(start, other_start))


# Features of the embedding


def contribution_curve(e_q, e_r):
    """Stylianou 2019, fig. 3: c_k = e_q,k e_r,k sorted, cumulated, over s."""
    contributions = sorted((float(x) * float(y) for x, y in zip(e_q, e_r, strict=True)), reverse=True)
    score = math.fsum(contributions)
    return [math.fsum(contributions[: k + 1]) / score for k in range(len(contributions))]


# Perturbation: Zeiler 2014 (sliding window), Petsiuk 2018 (RISE)


def hidden_window_losses(embed, pixels, windows):
    """For each window (top, left, bottom, right in pixels) how much of the embedding is lost while it is grey (0)."""
    whole = embed(pixels)
    losses = []
    for top, left, bottom, right in windows:
        hidden = pixels.clone()
        for row in range(max(top, 0), min(bottom, pixels.shape[1])):
            for column in range(max(left, 0), min(right, pixels.shape[2])):
                hidden[:, row, column] = 0
        losses.append([w - h for w, h in zip(whole, embed(hidden), strict=True)])
    return losses


def rise_map(score, pixels, masks):
    """Petsiuk 2018, eq. 6 with the empirical coverage: sum of score x mask over the sum of masks, at each pixel."""
    _, height, width = pixels.shape
    total = [[0.0] * width for _ in range(height)]
    coverage = [[0.0] * width for _ in range(height)]
    for mask in masks:
        value = score(pixels * mask)
        for row in range(height):
            for column in range(width):
                total[row][column] += value * float(mask[row, column])
                coverage[row][column] += float(mask[row, column])
    return np.array([[t / c for t, c in zip(*rows, strict=True)] for rows in zip(total, coverage, strict=True)])


# Transformers: the class token of a last pre-norm block, token by token


def class_token_terms(tokens, block):
    """Every token's value as the class token (token 0) receives it: attention weight x value x output projection.

    ``block`` holds plain arrays: norm (gain, offset, eps), wq, wk, wv (with bq, bk, bv), wo (with bo), heads.
    """

    def normed(x):
        mean = sum(x) / len(x)
        variance = sum((v - mean) ** 2 for v in x) / len(x)
        gain, offset, eps = block["norm"]
        return [(v - mean) / math.sqrt(variance + eps) * g + o for v, g, o in zip(x, gain, offset, strict=True)]

    def linear(x, weight, bias):
        return [dot(row, x) + b for row, b in zip(weight, bias, strict=True)]

    inputs = [normed(token) for token in tokens]
    queries, keys, values = (
        [linear(x, block[f"w{name}"], block[f"b{name}"]) for x in inputs] for name in ("q", "k", "v")
    )
    size = len(queries[0]) // block["heads"]
    terms = [[0.0] * len(values[0]) for _ in tokens]
    for head in range(block["heads"]):
        part = slice(head * size, (head + 1) * size)
        logits = [dot(queries[0][part], key[part]) / math.sqrt(size) for key in keys]
        powers = [math.exp(logit - max(logits)) for logit in logits]
        for term, power, value in zip(terms, powers, values, strict=True):
            term[part] = [power / sum(powers) * v for v in value[part]]
    return [linear(term, block["wo"], [0.0] * len(block["wo"])) for term in terms]


# Explainers of any network: hidden windows, random masks, gradients by differences


def lattice_row(pixel, pixels, cells):
    """Which of the equal steps a pixel's centre lies in."""
    return math.floor((pixel + 0.5) * cells / pixels)


def window_map(loss, pixels, lattice, side, step):
    """Zeiler 2014: for each place of the lattice the mean loss over all windows that hide it; hidden is 0 (grey)."""
    losses = {place: [] for place in np.ndindex(*lattice)}
    for top in range(step - side, lattice[0], step):
        for left in range(step - side, lattice[1], step):
            window = top, left, side
            lost = loss(without_window(pixels, lattice, window))
            for place, values in losses.items():
                values.extend([lost] * in_window(*place, window))
    return np.array([math.fsum(values) / len(values) for values in losses.values()]).reshape(lattice)


def without_window(pixels, lattice, window):
    _, height, width = pixels.shape
    hidden = pixels.clone()
    for i in range(height):
        for j in range(width):
            if in_window(lattice_row(i, height, lattice[0]), lattice_row(j, width, lattice[1]), window):
                hidden[:, i, j] = 0
    return hidden


def in_window(row, column, window):
    top, left, side = window
    return top <= row < top + side and left <= column < left + side


def correlation_map(masks, scores):
    """Lu 2024 (CorrRISE): at each pixel Pearson's correlation of the masks' values there with the scores."""
    result = np.zeros(masks[0].shape)
    for place in np.ndindex(*result.shape):
        values = [float(mask[place]) for mask in masks]
        if min(values) < max(values):
            result[place] = np.corrcoef(values, scores)[0, 1]
    return result


def gradient_by_differences(function, at, step=1e-5):
    """Central differences, one entry at a time."""
    gradient = np.zeros(at.shape)
    for place in np.ndindex(*at.shape):
        moved = []
        for sign in (1, -1):
            other = at.clone()
            other[place] += sign * step
            moved.append(float(function(other)))
        gradient[place] = (moved[0] - moved[1]) / (2 * step)
    return gradient


def grad_cam_map(gradient, features):
    """Selvaraju 2017, eq. 1-2 without the ReLU: channels weighted by their mean gradient."""
    weights = avg_pool(gradient)
    return _map_of(features, lambda cell: dot(weights, features[:, cell[0], cell[1]]))


def hires_cam_map(gradient, features):
    """Draelos 2020, eq. 5: the gradient of each place times the features there."""
    return _map_of(features, lambda cell: dot(gradient[:, cell[0], cell[1]], features[:, cell[0], cell[1]]))


def integrated_gradients_map(score, pixels, steps):
    """Sundararajan 2017, eq. 3, from a picture of zeros by the midpoint rule, summed over the colours."""
    total = torch.zeros_like(pixels)
    for step in range(steps):
        at = (pixels * (step + 0.5) / steps).requires_grad_()
        total += torch.autograd.grad(score(at), at)[0]
    return (pixels * total / steps).sum(0)


def gaussian_at(channel, row, column, sigma, reach):
    """A Gaussian mean around one pixel; beyond the edge stands the edge's own pixel."""
    total = weights = 0.0
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            held = min(max(row + i, 0), len(channel) - 1), min(max(column + j, 0), len(channel[0]) - 1)
            weight = math.exp(-(i * i + j * j) / (2 * sigma**2))
            total, weights = total + weight * float(channel[held[0]][held[1]]), weights + weight
    return total / weights


def total_variation(mask, power):
    """Fong & Vedaldi 2017: the mean of |difference of neighbours|^power down, and the same across."""
    rows, columns = mask.shape
    down = [abs(mask[r + 1, c] - mask[r, c]) ** power for r in range(rows - 1) for c in range(columns)]
    across = [abs(mask[r, c + 1] - mask[r, c]) ** power for r in range(rows) for c in range(columns - 1)]
    return sum(math.fsum(part) / len(part) for part in (down, across) if part)


def adam(gradient_of, start, steps, rate, held):
    """Kingma & Ba 2015, algorithm 1, with its default numbers; ``held`` puts what it moved back into range."""
    at, first, second = start.copy(), np.zeros(start.shape), np.zeros(start.shape)
    for step in range(1, steps + 1):
        gradient = gradient_of(at)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        at = held(at - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8))
    return at


def rollout_map(attentions, reader):
    """Abnar & Zuidema 2020, eq. 1-2: A' = (A + I) / 2 with heads averaged, multiplied from the last block down."""
    tokens = len(reader)
    flow = [float(r) for r in reader]
    for block in range(len(attentions) - 1, -1, -1):
        mixed = [
            [
                0.5 * math.fsum(float(head[i][j]) for head in attentions[block]) / len(attentions[block])
                + 0.5 * (i == j)
                for j in range(tokens)
            ]
            for i in range(tokens)
        ]
        flow = [math.fsum(flow[i] * mixed[i][j] for i in range(tokens)) for j in range(tokens)]
    return np.array(flow)


# Salient attributes of Plummer 2020 (SANE), section 3.3: e(a) = phi1 c(a) + phi2 cos(saliency, its map) + phi3 prior(a)


def positive_cosine(saliency, activation):
    cells = [(row, column) for row in range(len(saliency)) for column in range(len(saliency[0]))]
    one = [max(float(saliency[row][column]), 0.0) for row, column in cells]
    other = [max(float(activation[row][column]), 0.0) for row, column in cells]
    size = length(one) * length(other)
    return dot(one, other) / size if size > 0 else 0.0


def share_over_even(saliency, activation):
    """Ours in its place: the share of the signed map under the activation map, less that of an even map."""
    cells = [(row, column) for row in range(len(saliency)) for column in range(len(saliency[0]))]
    highest = max(max(float(activation[row][column]), 0.0) for row, column in cells)
    amount = math.fsum(abs(float(saliency[row][column])) for row, column in cells)
    if not highest or not amount:
        return 0.0
    even = math.fsum(float(saliency[row][column]) for row, column in cells) / len(cells)
    under = [max(float(activation[row][column]), 0.0) / highest for row, column in cells]
    mine = math.fsum(float(saliency[cell[0]][cell[1]]) * share for cell, share in zip(cells, under, strict=True))
    return (mine - math.fsum(even * share for share in under)) / amount


def sane_scores(confidences, saliency, activations, priors, phi, bounds):
    """The explanation score of every attribute, its three terms brought to 0..1 first."""
    found = []
    for confidence, activation, prior in zip(confidences, activations, priors, strict=True):
        terms = (float(confidence), positive_cosine(saliency, activation), float(prior))
        total = 0.0
        for weight, term, (low, high) in zip(phi, terms, bounds, strict=True):
            total += weight * min(max((term - low) / (high - low), 0.0), 1.0)
        found.append(total)
    return found


# Plummer 2020, section 3.2, the attribute loss; and the average precision of a ranking


def attribute_loss(maps, true, targets, weight):
    """Huber on the softmax of the maps' means against labels divided by their count, and the map term, loop by loop."""
    huber = []
    for picture, row in zip(maps, true, strict=True):
        shares = softmax([np.mean(one) for one in picture])
        gaps = [abs(share - (1 / sum(row) if yes else 0.0)) for share, yes in zip(shares, row, strict=True)]
        huber += [gap**2 / 2 if gap < 1 else gap - 0.5 for gap in gaps]
    nearest = []
    for picture, row, saliencies in zip(maps, true, targets, strict=True):
        shown = [softmax(np.ravel(one)) for one, yes in zip(picture, row, strict=True) if yes]
        nearest += [min(length(one - saliency) for one in shown) for saliency in saliencies if shown]
    return math.fsum(huber) / len(huber) + weight * (math.fsum(nearest) / len(nearest) if nearest else 0.0)


def softmax(values):
    raised = [math.exp(value) for value in values]
    return np.array([value / math.fsum(raised) for value in raised])
