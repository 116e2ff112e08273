/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Pictures as numbers, as files, in tiles, and side by side on a sheet.
 *
 * <p>A {@link io.github.flinkdiffusion.ops.image.Raster} holds floats, channel by channel, as
 * networks take and give them, and says which numbers of its file they stand for. {@link
 * io.github.flinkdiffusion.ops.image.Images} reads files of every kind, told apart by their bytes
 * and checked before memory is spent on them; {@link io.github.flinkdiffusion.ops.image.TiffReader}
 * and {@link io.github.flinkdiffusion.ops.image.TiffWriter} work on parts of a picture that is
 * larger than memory, {@link io.github.flinkdiffusion.ops.image.TilePlan} says which parts, and
 * {@link io.github.flinkdiffusion.ops.image.TileBlender} puts their results together. This room
 * knows nothing of the others, of Flink, or of tensors.
 *
 * <pre>{@code
 * Raster scene = Images.read(file, ReadOptions.DEFAULT);
 * byte[] png = PngCodec.encode(scene.storedAs(SampleType.UINT8));
 * byte[] sheet = ContactSheet.columns(4).add(scene, "as it came").add(result, "enlarged").toPng();
 * }</pre>
 */
package io.github.flinkdiffusion.ops.image;
