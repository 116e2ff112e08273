/**
 * Pictures as numbers, as PNG files, and side by side on a sheet.
 *
 * <p>A {@link io.github.flinkdiffusion.ops.image.Raster} holds floats, channel by channel, as
 * networks take and give them. {@link io.github.flinkdiffusion.ops.image.PngCodec} turns it into a
 * file and back; a file from outside is checked before memory is spent on it. {@link
 * io.github.flinkdiffusion.ops.image.PilResize} makes it larger or smaller, {@link
 * io.github.flinkdiffusion.ops.image.DwtDctWatermark} marks it. {@link
 * io.github.flinkdiffusion.ops.image.ContactSheet} shows many pictures to a person. This room knows
 * nothing of the others, of Flink, or of tensors.
 *
 * <pre>{@code
 * byte[] png = PngCodec.encode(picture);
 * Raster again = PngCodec.decode(png, ImageLimits.DEFAULT);
 * byte[] sheet = ContactSheet.columns(4).add(picture, "a red apple").add(again, "the same").toPng();
 * }</pre>
 */
package io.github.flinkdiffusion.ops.image;
