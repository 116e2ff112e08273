package io.github.flinkdiffusion.ops.image;

/** TIFF files in memory; see {@link TiffReader} and {@link TiffWriter}. */
final class TiffCodec implements ImageFormat {

  @Override
  public String mediaType() {
    return "image/tiff";
  }

  @Override
  public boolean recognises(byte[] file) {
    return TiffDirectory.recognises(file);
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    return TiffReader.decode(file, options);
  }

  @Override
  public byte[] write(Raster picture) {
    return TiffWriter.encode(picture);
  }
}
