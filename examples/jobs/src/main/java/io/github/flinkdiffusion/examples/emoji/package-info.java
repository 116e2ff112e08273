/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * The embedded model mini-emoji: what it can draw, the pictures it learns from, its training and
 * its evaluation. A scene is an emoji of one of two sizes on one of eight plain backgrounds; a
 * tenth of the scenes is held out, so that it can be seen whether the model has learned to combine.
 * Nothing here is needed to run a model.
 *
 * <pre>{@code
 * EmojiImages images = EmojiImages.open(Path.of("package/img/google/64"));
 * for (EmojiScene scene : EmojiVocabulary.trainingScenes()) {
 *   learn(scene.phrasings(), scene.render(images));
 * }
 * }</pre>
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.examples.emoji;
