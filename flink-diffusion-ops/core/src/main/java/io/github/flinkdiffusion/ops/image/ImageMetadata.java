package io.github.flinkdiffusion.ops.image;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a file says of its picture besides the pixels, carried from a picture to what is made of it.
 *
 * @param georeference where on Earth it lies
 * @param spacing how large its pixels are
 * @param texts words by name; the audit record of a result stands here. PNG files hold them as text
 *     blocks, TIFF files as GDAL's metadata tag, which GDAL and QGIS show; JPEG files do not.
 * @param tags other tags of a TIFF file; only TIFF files hold them
 */
public record ImageMetadata(
    Optional<Georeference> georeference,
    Optional<PixelSpacing> spacing,
    SortedMap<String, String> texts,
    List<TiffTag> tags) {

  public static final ImageMetadata NONE =
      new ImageMetadata(Optional.empty(), Optional.empty(), new TreeMap<>(), List.of());

  /** Rational polynomial coefficients: in pixels, so untrue for another resolution. */
  private static final int RPC_COEFFICIENTS = 50844;

  public ImageMetadata {
    texts = Collections.unmodifiableSortedMap(new TreeMap<>(texts));
    tags = List.copyOf(tags);
  }

  public ImageMetadata withGeoreference(Georeference other) {
    return new ImageMetadata(Optional.of(other), spacing, texts, tags);
  }

  public ImageMetadata withSpacing(PixelSpacing other) {
    return new ImageMetadata(georeference, Optional.of(other), texts, tags);
  }

  /** With these words besides those already there; the same name is replaced. */
  public ImageMetadata withTexts(Map<String, String> more) {
    SortedMap<String, String> all = new TreeMap<>(texts);
    all.putAll(more);
    return new ImageMetadata(georeference, spacing, all, tags);
  }

  /** As after enlarging the picture by these factors; below 1 it is reduced. */
  public ImageMetadata scaled(double factorX, double factorY) {
    return new ImageMetadata(
        georeference.map(where -> where.scaled(factorX, factorY)),
        spacing.map(size -> size.scaled(factorX, factorY)),
        texts,
        withoutRpc(factorX == 1 && factorY == 1));
  }

  /** As after cutting out a part that begins at this pixel. */
  public ImageMetadata cropped(int x, int y) {
    return new ImageMetadata(
        georeference.map(where -> where.cropped(x, y)),
        spacing,
        texts,
        withoutRpc(x == 0 && y == 0));
  }

  private List<TiffTag> withoutRpc(boolean sameGrid) {
    return sameGrid ? tags : tags.stream().filter(tag -> tag.number() != RPC_COEFFICIENTS).toList();
  }
}
