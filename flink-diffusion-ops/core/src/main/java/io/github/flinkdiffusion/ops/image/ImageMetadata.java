/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;

/**
 * What a file says of its picture besides the pixels, carried from a picture to what is made of it.
 *
 * @param georeference where on Earth it lies
 * @param spacing how large its pixels are
 * @param texts words by name; the audit record of a result stands here. PNG files hold them as text
 *     blocks, TIFF files as GDAL's metadata tag, which GDAL and QGIS show, JPEG files as comments.
 * @param tags other tags of a TIFF file; only TIFF files hold them, but for the color profile
 *     (ICC), which stands here for PNG and JPEG files too
 * @param medical what a DICOM or NIfTI file says of its source; only these hold it
 */
@Internal
public record ImageMetadata(
    Optional<Georeference> georeference,
    Optional<PixelSpacing> spacing,
    SortedMap<String, String> texts,
    List<TiffTag> tags,
    Optional<MedicalSource> medical) {

  public static final ImageMetadata NONE =
      new ImageMetadata(Optional.empty(), Optional.empty(), new TreeMap<>(), List.of());

  /** Rational polynomial coefficients: in pixels, so untrue for another resolution. */
  private static final int RPC_COEFFICIENTS = 50844;

  private static final int ICC_PROFILE = 34675;

  public ImageMetadata {
    texts = Collections.unmodifiableSortedMap(new TreeMap<>(texts));
    tags = List.copyOf(tags);
  }

  /** Of an image that no DICOM or NIfTI file is the source of. */
  public ImageMetadata(
      Optional<Georeference> georeference,
      Optional<PixelSpacing> spacing,
      SortedMap<String, String> texts,
      List<TiffTag> tags) {
    this(georeference, spacing, texts, tags, Optional.empty());
  }

  public ImageMetadata withMedical(MedicalSource other) {
    return new ImageMetadata(georeference, spacing, texts, tags, Optional.of(other));
  }

  public ImageMetadata withGeoreference(Georeference other) {
    return new ImageMetadata(Optional.of(other), spacing, texts, tags, medical);
  }

  public ImageMetadata withSpacing(PixelSpacing other) {
    return new ImageMetadata(georeference, Optional.of(other), texts, tags, medical);
  }

  /** With these words besides those already there; the same name is replaced. */
  public ImageMetadata withTexts(Map<String, String> more) {
    SortedMap<String, String> all = new TreeMap<>(texts);
    all.putAll(more);
    return new ImageMetadata(georeference, spacing, all, tags, medical);
  }

  /** With these words in place of those that are there. */
  public ImageMetadata replacingTexts(Map<String, String> others) {
    return new ImageMetadata(georeference, spacing, new TreeMap<>(others), tags, medical);
  }

  /**
   * With the colors in which numbers of 8 bits are shown, from 0 on; a TIFF file holds them beside
   * the numbers, which stay what they are (GDAL and QGIS show the colors).
   *
   * @param colors up to 256
   */
  public ImageMetadata withColorTable(List<Rgb> colors) {
    ByteBuffer table = ByteBuffer.allocate(3 * 256 * Short.BYTES);
    for (int number = 0; number < colors.size(); number++) {
      for (int band = 0; band < 3; band++) {
        int value = Math.round(colors.get(number).band(band) * 65_535);
        table.putShort((band * 256 + number) * Short.BYTES, (short) value);
      }
    }
    List<TiffTag> others = new ArrayList<>(tags);
    others.removeIf(tag -> tag.number() == Tiff.COLOR_MAP);
    others.add(new TiffTag(Tiff.COLOR_MAP, TiffType.SHORT, table.array()));
    return new ImageMetadata(georeference, spacing, texts, others, medical);
  }

  /**
   * The color profile (ICC), as a TIFF file's tag holds it, whatever kind of file it came from.
   *
   * @param channels of the image that it is for; a profile of other colors is none for it
   */
  public Optional<byte[]> profile(int channels) {
    return tags.stream()
        .filter(tag -> tag.number() == ICC_PROFILE)
        .map(tag -> tag.values(ByteOrder.BIG_ENDIAN))
        .filter(profile -> fits(profile, channels))
        .findFirst();
  }

  /** With a color profile, unless it is of other colors than an image of so many channels has. */
  ImageMetadata withProfile(Optional<byte[]> profile, int channels) {
    List<TiffTag> others = new ArrayList<>(withoutProfile().tags);
    profile
        .filter(bytes -> fits(bytes, channels))
        .ifPresent(bytes -> others.add(new TiffTag(ICC_PROFILE, TiffType.UNDEFINED, bytes)));
    return new ImageMetadata(georeference, spacing, texts, others, medical);
  }

  /** Without color profile, as of an image that is none of colors. */
  public ImageMetadata withoutProfile() {
    return new ImageMetadata(
        georeference,
        spacing,
        texts,
        tags.stream().filter(tag -> tag.number() != ICC_PROFILE).toList(),
        medical);
  }

  /** Whether a profile is of gray for one channel and opacity, of RGB for three. */
  private static boolean fits(byte[] profile, int channels) {
    String colors = channels <= 2 ? "GRAY" : "RGB ";
    return profile.length >= 128
        && channels <= 4
        && new String(profile, 16, 4, StandardCharsets.ISO_8859_1).equals(colors);
  }

  /** As after enlarging the picture by these factors; below 1 it is reduced. */
  public ImageMetadata scaled(double factorX, double factorY) {
    return new ImageMetadata(
        georeference.map(where -> where.scaled(factorX, factorY)),
        spacing.map(size -> size.scaled(factorX, factorY)),
        texts,
        withoutRpc(factorX == 1 && factorY == 1),
        medical.map(
            source ->
                source.withPlace(
                    source
                        .place()
                        .flatMap(
                            place ->
                                spacing.map(
                                    size -> place.scaled(size, size.scaled(factorX, factorY)))))));
  }

  /** As after cutting out a part that begins at this pixel. */
  public ImageMetadata cropped(int x, int y) {
    return new ImageMetadata(
        georeference.map(where -> where.cropped(x, y)),
        spacing,
        texts,
        withoutRpc(x == 0 && y == 0),
        medical.map(
            source ->
                source.withPlace(
                    source.place().flatMap(place -> spacing.map(size -> place.from(x, y, size))))));
  }

  /** As after exchanging rows and columns. */
  ImageMetadata turned() {
    return new ImageMetadata(
        georeference, spacing.map(size -> new PixelSpacing(size.y(), size.x())), texts, tags);
  }

  private List<TiffTag> withoutRpc(boolean sameGrid) {
    return sameGrid ? tags : tags.stream().filter(tag -> tag.number() != RPC_COEFFICIENTS).toList();
  }
}
