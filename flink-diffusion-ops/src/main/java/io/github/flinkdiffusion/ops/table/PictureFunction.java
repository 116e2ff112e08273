package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.Ensemble;
import io.github.flinkdiffusion.ops.operator.GenerationService;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import java.util.List;

/** A function whose value is a picture as a PNG file; of an ensemble, the samples' mean. */
abstract class PictureFunction extends ImageFunction<byte[]> {
  private static final long serialVersionUID = 1L;

  PictureFunction(String name, FunctionSettings settings) {
    super(name, settings);
  }

  @Override
  final byte[] value(GenerationService service, List<GeneratedImage> samples, Audit audit) {
    List<Raster> pictures = samples.stream().map(GeneratedImage::image).toList();
    return service.encode(
        pictures.size() == 1 ? pictures.get(0) : Ensemble.of(pictures).mean(), audit);
  }
}
