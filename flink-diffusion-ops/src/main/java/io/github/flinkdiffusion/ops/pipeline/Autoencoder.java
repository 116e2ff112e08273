package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.LoadedNetwork;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.noise.NoiseSource;
import io.github.flinkdiffusion.ops.torchscript.Graph;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** Pictures of 0..1 to latents and back, with an AutoencoderKL. Device thread only. */
final class Autoencoder {
  private final LoadedNetwork network;
  private final AutoencoderKLConfig config;

  private Autoencoder(LoadedNetwork network, AutoencoderKLConfig config) {
    this.network = network;
    this.config = config;
  }

  /** The component {@code vae}, both ways. */
  static Autoencoder open(Components components) {
    return open(components, AutoencoderKL::graph);
  }

  /** The component {@code vae}, for pipelines that take no picture. */
  static Autoencoder openDecoder(Components components) {
    return open(components, AutoencoderKL::decoderGraph);
  }

  private static Autoencoder open(Components components, Function<AutoencoderKL, Graph> graph) {
    AutoencoderKLConfig config = AutoencoderKLConfig.from(components.config("vae"));
    // The reference runs such an autoencoder in float32 even when everything else is in half
    // precision.
    LoadedNetwork network =
        config.forceUpcast()
            ? components.loadInFloat32("vae", graph.apply(new AutoencoderKL(config)))
            : components.load("vae", graph.apply(new AutoencoderKL(config)));
    return new Autoencoder(network, config);
  }

  AutoencoderKLConfig config() {
    return config;
  }

  /** The latent of a picture of that size, whose sides are multiples of the scale factor. */
  SampleShape latent(int width, int height) {
    int factor = config.scaleFactor();
    return new SampleShape(config.latentChannels(), height / factor, width / factor);
  }

  /**
   * A distribution over latents.
   *
   * @param mean of each value, not yet scaled
   * @param deviation of each value
   */
  record Moments(float[] mean, float[] deviation, double scale, double shift) {

    /** The most probable latent, scaled. */
    float[] mode() {
      return scaled(mean.clone());
    }

    /** The most probable latent without {@code scaling_factor}, as InstructPix2Pix takes it. */
    float[] unscaledMode() {
      return mean;
    }

    /** A latent drawn with one number a value from the noise, scaled. */
    float[] sample(NoiseSource noise) {
      float[] drawn = noise.gaussian(mean.length);
      float[] latent = new float[mean.length];
      for (int i = 0; i < latent.length; i++) {
        latent[i] = mean[i] + deviation[i] * drawn[i];
      }
      return scaled(latent);
    }

    private float[] scaled(float[] latent) {
      for (int i = 0; i < latent.length; i++) {
        latent[i] = (float) ((latent[i] - shift) * scale);
      }
      return latent;
    }
  }

  /**
   * Encodes pictures; those of one size share a network call.
   *
   * @param pictures values 0..1, as many channels as the network takes
   * @return one a picture, in the same order
   */
  List<Moments> encode(List<Raster> pictures) {
    Map<List<Integer>, List<Integer>> bySize = new LinkedHashMap<>();
    for (int i = 0; i < pictures.size(); i++) {
      Raster picture = pictures.get(i);
      bySize
          .computeIfAbsent(List.of(picture.height(), picture.width()), size -> new ArrayList<>())
          .add(i);
    }
    Moments[] encoded = new Moments[pictures.size()];
    for (List<Integer> positions : bySize.values()) {
      List<Moments> some = encodeOneSize(positions.stream().map(pictures::get).toList());
      for (int i = 0; i < some.size(); i++) {
        encoded[positions.get(i)] = some.get(i);
      }
    }
    return List.of(encoded);
  }

  private List<Moments> encodeOneSize(List<Raster> pictures) {
    Raster first = pictures.get(0);
    int size = first.data().length;
    float[] pixels = new float[pictures.size() * size];
    for (int i = 0; i < pictures.size(); i++) {
      float[] data = pictures.get(i).data();
      for (int j = 0; j < size; j++) {
        pixels[i * size + j] = 2 * data[j] - 1;
      }
    }
    float[] moments =
        network
            .call(
                AutoencoderKL.ENCODE,
                new HostTensor.Floats(
                    pixels, pictures.size(), first.channels(), first.height(), first.width()))
            .data();
    int latent = latent(first.width(), first.height()).size();
    List<Moments> result = new ArrayList<>();
    for (int i = 0; i < pictures.size(); i++) {
      float[] mean = new float[latent];
      float[] deviation = new float[latent];
      for (int j = 0; j < latent; j++) {
        mean[j] = moments[2 * i * latent + j];
        // The bounds are the reference's (DiagonalGaussianDistribution).
        float logVariance = Math.max(-30, Math.min(20, moments[(2 * i + 1) * latent + j]));
        deviation[j] = (float) Math.exp(0.5 * logVariance);
      }
      result.add(new Moments(mean, deviation, config.scalingFactor(), config.shiftFactor()));
    }
    return result;
  }

  /**
   * Decodes the samples of finished trajectories, all of one shape, in one call.
   *
   * @return [N, channels, height, width], about 0..1
   */
  HostTensor.Floats decode(List<DenoisingTrajectory> done) {
    SampleShape shape = done.get(0).shape();
    int size = shape.size();
    float[] latents = new float[done.size() * size];
    for (int i = 0; i < done.size(); i++) {
      float[] sample = done.get(i).state().sample();
      for (int j = 0; j < size; j++) {
        latents[i * size + j] = (float) (sample[j] / config.scalingFactor() + config.shiftFactor());
      }
    }
    HostTensor.Floats decoded =
        network.call(
            AutoencoderKL.DECODE,
            new HostTensor.Floats(
                latents, done.size(), shape.channels(), shape.height(), shape.width()));
    float[] pixels = decoded.data();
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = pixels[i] / 2 + 0.5f;
    }
    return decoded;
  }
}
