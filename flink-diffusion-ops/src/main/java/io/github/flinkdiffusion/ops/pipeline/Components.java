package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.LoadedNetwork;
import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** A model folder's networks on a device; closes all that it opened. */
final class Components implements AutoCloseable {
  /**
   * What a component of that name may be; other configs would be read as something they are not.
   */
  private static final Map<String, Set<String>> CLASSES =
      Map.of(
          "unet", Set.of("UNet2DConditionModel", "UNet2DModel"),
          "vae", Set.of("AutoencoderKL", "AutoencoderTiny"),
          "vqvae", Set.of("VQModel"),
          "text_encoder", Set.of("CLIPTextModel", "CLIPTextModelWithProjection"),
          "text_encoder_2", Set.of("CLIPTextModelWithProjection"),
          "image_encoder", Set.of("CLIPVisionModelWithProjection"),
          "transformer", Set.of("DiTTransformer2DModel", "Transformer2DModel"));

  private final ModelFolder folder;
  private final PipelineSettings settings;
  private final List<LoadedNetwork> opened = new ArrayList<>();

  Components(ModelFolder folder, PipelineSettings settings) {
    this.folder = folder;
    this.settings = settings;
  }

  ModelFolder folder() {
    return folder;
  }

  /** The component's config.json. */
  Config config(String component) {
    return folder.component(component).config();
  }

  /** The component's class, as model_index.json names it. */
  String className(String component) {
    return folder.component(component).className();
  }

  LoadedNetwork load(String component, Graph graph) {
    return load(component, graph, settings.precision());
  }

  /** A network in float32, whatever the others are in. */
  LoadedNetwork loadInFloat32(String component, Graph graph) {
    return load(component, graph, StorageType.FLOAT32);
  }

  private LoadedNetwork load(String name, Graph graph, StorageType precision) {
    ModelComponent component = folder.component(name);
    Set<String> classes = CLASSES.getOrDefault(name, Set.of(component.className()));
    if (!classes.contains(component.className())) {
      throw folder
          .config()
          .unsupported(name, component.className(), String.join(" or ", new TreeSet<>(classes)));
    }
    try (TensorStore weights =
        TensorViews.withTextModelPrefix(TensorViews.withCurrentAttentionNames(component.open()))) {
      LoadedNetwork network =
          new NetworkLoader(settings.device(), precision, settings.archives())
              .load(name, graph, weights);
      opened.add(network);
      return network;
    }
  }

  @Override
  public void close() {
    opened.forEach(LoadedNetwork::close);
  }
}
