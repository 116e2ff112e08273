/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Models by name: files of a repository of Hugging Face's hub, downloaded once for each machine.
 *
 * <p>A {@link io.github.flinkdiffusion.ops.hub.HubName} is {@code hf://owner/name@revision}. {@link
 * io.github.flinkdiffusion.ops.hub.Hub} downloads what a pipeline reads of it into the cache that
 * Python's {@code huggingface_hub} uses, too, and returns the folder. Sizes and digests are checked
 * before a file gets its name; a download that was interrupted goes on where it ended.
 *
 * <pre>{@code
 * Hub hub = Hub.standard();
 * Path folder = hub.model(HubName.parse("hf://owner/name@fp16-fix"), HubWants.EVERYTHING);
 * ModelFolder model = ModelFolder.open(folder);
 * }</pre>
 */
package io.github.flinkdiffusion.ops.hub;
