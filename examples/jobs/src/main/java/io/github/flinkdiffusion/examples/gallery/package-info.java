/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * A web page on the topics of a job: requests go in, images come out, and people look at both.
 *
 * <p>{@link io.github.flinkdiffusion.examples.gallery.Gallery} reads the topics as any consumer
 * would, keeps a bounded picture of them ({@code Wall}), and serves it on the loopback interface
 * ({@code GalleryServer}). The page learns of changes by server-sent events, in one order for all.
 * What the page is sent is either JSON or an image that was re-encoded or recognized here; texts of
 * strangers become text nodes.
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.examples.gallery;
