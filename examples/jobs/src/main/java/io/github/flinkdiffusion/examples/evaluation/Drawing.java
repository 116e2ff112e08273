/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.RpcOptions;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;

/**
 * Prompts through the Flink operator to images, in this process: what a report is about is what
 * jobs make.
 *
 * @param images in the order of the requests
 * @param model name of its folder
 * @param modelDigest SHA-256 over weights and configs
 * @param scheduler that was used
 * @param steps that were used
 * @param guidance scale that was used
 */
record Drawing(
    List<Drawn> images,
    String model,
    String modelDigest,
    String scheduler,
    int steps,
    double guidance) {
  private static final String NAME = "evaluation";

  private static final int BATCH_ROWS = 8;

  /**
   * A prompt and the seed of its noise.
   *
   * @param seed the low 32 bits matter
   * @param from the image that is changed; null for none
   * @param strength of the change, above 0 and up to 1; null takes the model's default
   */
  record Request(String prompt, long seed, Raster from, Double strength) {
    static Request of(String prompt, long seed) {
      return new Request(prompt, seed, null, null);
    }
  }

  /**
   * Draws them.
   *
   * @throws EvaluationException naming the first request that could not be processed
   */
  static Drawing of(Sampler sampler, List<Request> requests) {
    Configuration job = new Configuration();
    job.set(DiffusionOptions.MODEL_FOLDER, sampler.model());
    job.set(DiffusionOptions.DEFAULT_STEPS, sampler.steps());
    // Measuring the best number takes longer than a small report.
    job.set(DiffusionOptions.BATCH_ROWS, BATCH_ROWS);
    if (sampler.guidance() != null) {
      job.set(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, sampler.guidance());
    }
    job.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    // A model is loaded meanwhile, which may take all processors.
    job.set(RpcOptions.ASK_TIMEOUT_DURATION, Duration.ofMinutes(2));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, job);
    Map<Integer, ImageEvent> made = new TreeMap<>();
    try (CloseableIterator<byte[]> answers = answers(env, requests).executeAndCollect(NAME)) {
      while (answers.hasNext()) {
        SpecificRecord answer = EventCodec.decodeAny(answers.next());
        if (answer instanceof FailureEvent failure) {
          throw new EvaluationException(
              "Request %s ('%s') could not be processed: %s: %s"
                  .formatted(
                      failure.getId(),
                      requests.get(Integer.parseInt(failure.getId())).prompt(),
                      failure.getReason(),
                      failure.getMessage()));
        }
        made.put(Integer.parseInt(((ImageEvent) answer).getId()), (ImageEvent) answer);
      }
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new EvaluationException("The job that draws the images failed: " + e.getMessage(), e);
    }
    return of(requests, made);
  }

  private static DataStream<byte[]> answers(
      StreamExecutionEnvironment env, List<Request> requests) {
    List<PromptEvent> prompts = new ArrayList<>();
    List<ImageTaskEvent> tasks = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      Request request = requests.get(i);
      if (request.from() == null) {
        prompts.add(
            PromptEvent.newBuilder()
                .setId(String.valueOf(i))
                .setPrompt(request.prompt())
                .setSeed(request.seed())
                .build());
      } else {
        tasks.add(
            ImageTaskEvent.newBuilder()
                .setId(String.valueOf(i))
                .setImage(Payloads.inline(PngCodec.encode(request.from()), "image/png"))
                .setPrompt(request.prompt())
                .setStrength(request.strength())
                .setSeed(request.seed())
                .build());
      }
    }
    List<DataStream<byte[]>> all = new ArrayList<>();
    if (!prompts.isEmpty()) {
      all.add(
          bytes(
              Diffusion.textToImage()
                  .uid(NAME)
                  .apply(env.fromData(prompts, new AvroTypeInfo<>(PromptEvent.class)))));
    }
    if (!tasks.isEmpty()) {
      all.add(
          bytes(
              Diffusion.imageTasks()
                  .uid(NAME + "-of-images")
                  .apply(env.fromData(tasks, new AvroTypeInfo<>(ImageTaskEvent.class)))));
    }
    return all.size() == 1 ? all.get(0) : all.get(0).union(all.get(1));
  }

  private static DataStream<byte[]> bytes(DiffusionStreams results) {
    return results
        .images()
        .map(
            image -> EventCodec.images().encode(image),
            PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO)
        .union(
            results
                .failures()
                .map(
                    failure -> EventCodec.failures().encode(failure),
                    PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
  }

  private static Drawing of(List<Request> requests, Map<Integer, ImageEvent> made) {
    List<Drawn> images = new ArrayList<>();
    made.forEach(
        (number, event) -> {
          byte[] file = Payloads.inlineBytes(Payloads.image(event)).orElseThrow();
          images.add(
              new Drawn(
                  requests.get(number).prompt(),
                  requests.get(number).seed(),
                  Images.read(file, ReadOptions.DEFAULT)));
        });
    ImageEvent any = made.values().iterator().next();
    return new Drawing(
        images,
        any.getModel(),
        any.getModelDigest(),
        any.getScheduler(),
        any.getSteps(),
        any.getGuidanceScale());
  }
}
