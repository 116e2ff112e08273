/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.Original;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.credentials.Origin;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.SlicePlane;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.Selection;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.ResultKind;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Supplier;

/** From events to requests and from results to events. Pure. */
final class Events {
  private static final int MAX_ID_LENGTH = 512;

  /** A larger request is truncated, and can be read again where it came from. */
  private static final int MOST_OF_AN_ORIGINAL = 1 << 20;

  /** Among an image task's further parameters; it chooses what is read, so no model takes it. */
  static final String PAGE = "page";

  /** As {@link #PAGE}: which way a volume is cut into slices. */
  static final String PLANE = "plane";

  /** The attribute of a result that has the text which was generated with its image. */
  static final String TEXT = "diffusion-text";

  private static final String PNG = "image/png";

  private Events() {}

  /**
   * What a prompt event asks for, with the job's settings where it leaves them open.
   *
   * @throws InvalidRequestException when its id is not one, or a parameter not known or not
   *     readable
   */
  static GenerationSpec spec(PromptEvent prompt, DiffusionSettings settings) {
    checkId(prompt.getId());
    settings.limits().check(prompt.getAttributes(), prompt.getParameters());
    Arguments asked =
        Arguments.NONE
            .with(Parameters.PROMPT, prompt.getPrompt())
            .with(Parameters.NEGATIVE_PROMPT, notEmpty(prompt.getNegativePrompt()))
            .with(Parameters.SEED, prompt.getSeed())
            .with(Parameters.SCHEDULER, prompt.getScheduler())
            .with(Parameters.STEPS, whole(prompt.getSteps()))
            .with(Parameters.GUIDANCE_SCALE, prompt.getGuidanceScale())
            .with(Parameters.WIDTH, whole(prompt.getWidth()))
            .with(Parameters.HEIGHT, whole(prompt.getHeight()));
    Arguments all = further(asked, withoutModel(prompt.getParameters()));
    return new GenerationSpec(prompt.getId(), settings.defaults(all).with(all));
  }

  /** What an event's fields ask for, and its further parameters. */
  private static Arguments further(Arguments fields, Map<String, String> parameters) {
    Arguments further = Arguments.parse(parameters);
    for (Parameter<?> parameter : further.parameters()) {
      if (fields.has(parameter)) {
        throw new InvalidRequestException(
            "The request sets %s twice: as a field and in its parameters. Set it once."
                .formatted(parameter));
      }
    }
    return fields.with(further);
  }

  /**
   * What an image task's fields and parameters ask for; width and height are those that its image
   * is brought to first.
   *
   * @throws InvalidRequestException when a parameter is not known, not readable, or there twice
   */
  static Arguments asked(ImageTaskEvent task) {
    return further(
        Arguments.NONE
            .with(Parameters.PROMPT, notEmpty(task.getPrompt()))
            .with(Parameters.NEGATIVE_PROMPT, notEmpty(task.getNegativePrompt()))
            .with(Parameters.SEED, task.getSeed())
            .with(Parameters.SCHEDULER, task.getScheduler())
            .with(Parameters.STEPS, whole(task.getSteps()))
            .with(Parameters.GUIDANCE_SCALE, task.getGuidanceScale())
            .with(Parameters.IMAGE_GUIDANCE_SCALE, task.getImageGuidanceScale())
            .with(Parameters.STRENGTH, task.getStrength())
            .with(Parameters.NOISE_LEVEL, whole(task.getNoiseLevel()))
            .with(Parameters.WIDTH, whole(task.getWidth()))
            .with(Parameters.HEIGHT, whole(task.getHeight())),
        withoutPage(task.getParameters()));
  }

  /**
   * Which images of a file that has several a task works on: frames of a DICOM file, slices of a
   * NIfTI volume, a page of a TIFF file; empty if it does not say.
   *
   * @throws InvalidRequestException when it names none
   */
  static Optional<PageRange> pages(ImageTaskEvent task) {
    return Optional.ofNullable(task.getParameters().get(PAGE)).map(PageRange::parse);
  }

  /**
   * Which way a task wants volumes cut into slices.
   *
   * @throws InvalidRequestException when it is none
   */
  static SlicePlane plane(ImageTaskEvent task) {
    String plane = task.getParameters().getOrDefault(PLANE, "axial");
    for (SlicePlane one : SlicePlane.values()) {
      if (one.name().toLowerCase(Locale.ROOT).equals(plane.strip())) {
        return one;
      }
    }
    throw new InvalidRequestException(
        "%s is '%s'; axial, coronal or sagittal is expected.".formatted(PLANE, plane));
  }

  private static Map<String, String> withoutModel(Map<String, String> parameters) {
    Map<String, String> others = new TreeMap<>(parameters);
    others.remove(ModelList.PARAMETER);
    return others;
  }

  private static Map<String, String> withoutPage(Map<String, String> parameters) {
    Map<String, String> others = withoutModel(parameters);
    others.keySet().removeAll(List.of(PAGE, PLANE));
    others.keySet().removeAll(Selection.PARAMETERS);
    return others;
  }

  /**
   * What each part of an image task asks for but its images and its seed, with the job's settings
   * where it leaves open what the model takes.
   */
  static GenerationSpec spec(
      String id, Arguments asked, DiffusionSettings settings, Signature signature) {
    Arguments all = asked.without(Parameters.WIDTH, Parameters.HEIGHT);
    Arguments defaults = settings.defaults(all);
    GenerationSpec spec = new GenerationSpec(id, all);
    for (Parameter<?> parameter :
        List.of(Parameters.SCHEDULER, Parameters.STEPS, Parameters.GUIDANCE_SCALE)) {
      if (!all.has(parameter) && signature.takes(parameter)) {
        spec = withDefault(spec, parameter, defaults);
      }
    }
    return spec;
  }

  private static <T> GenerationSpec withDefault(
      GenerationSpec spec, Parameter<T> parameter, Arguments defaults) {
    return spec.with(parameter, defaults.get(parameter));
  }

  /**
   * @throws InvalidRequestException when it is empty or too long
   */
  static void checkId(String id) {
    if (id.isEmpty() || id.length() > MAX_ID_LENGTH) {
      throw new InvalidRequestException(
          "The request's id has %d characters; an id has 1 to %d."
              .formatted(id.length(), MAX_ID_LENGTH));
    }
  }

  /** An event cannot leave a text open other than by an empty one. */
  private static String notEmpty(String text) {
    return text.isEmpty() ? null : text;
  }

  private static Long whole(Integer number) {
    return number == null ? null : number.longValue();
  }

  /**
   * The event of a finished picture. Encodes the picture, and stores it when it is too large for
   * the event, so it takes CPU time and may wait for a file system.
   *
   * @param deviceNanos device time that the request took
   * @param inputs what the request's images say of themselves
   * @throws PayloadException when it cannot be stored
   */
  static ImageEvent image(
      PromptEvent prompt,
      GeneratedImage generated,
      Model model,
      long deviceNanos,
      DiffusionSettings settings,
      PayloadStore payloads,
      Supplier<List<Origin.Input>> inputs) {
    GenerationRequest request = generated.request();
    Map<String, String> further = new TreeMap<>(settings.credentials().parameters());
    further.putAll(settings.auditAttributes().of(prompt.getAttributes()));
    Audit audit =
        settings.marked(
            Audit.of(model, request, NamedImages.digests(prompt.getImages()), further),
            generated.image(),
            model.result(request.arguments()));
    byte[] png =
        settings
            .credentials()
            .sign(PngCodec.encode(settings.withRecord(generated.image(), audit)), audit, inputs);
    Payload picture = payloads.write(png, PNG);
    return Payloads.setPicture(ImageEvent.newBuilder(), picture)
        .setId(prompt.getId())
        .setWidth(generated.image().width())
        .setHeight(generated.image().height())
        .setPrompt(prompt.getPrompt())
        .setNegativePrompt(prompt.getNegativePrompt())
        .setPromptTruncated(generated.promptTruncated())
        .setSeed(request.seed())
        .setSteps(request.steps())
        .setGuidanceScale(request.guidanceScale())
        .setScheduler(request.scheduler())
        .setModel(model.info().name())
        .setModelDigest(model.info().digest())
        .setAttributes(attributes(prompt, generated))
        .setAudit(AuditRecords.of(audit))
        .setOriginal(original(RequestEvent.of(prompt)))
        .setContext(prompt.getContext())
        .setDeviceSeconds(seconds(deviceNanos))
        .build();
  }

  /** The request's, and the text of a model that generates one with the image. */
  private static Map<String, String> attributes(PromptEvent prompt, GeneratedImage generated) {
    if (generated.text().isEmpty()) {
      return prompt.getAttributes();
    }
    Map<String, String> attributes = new TreeMap<>(prompt.getAttributes());
    attributes.put(TEXT, generated.text().get().text());
    return attributes;
  }

  /**
   * @throws InvalidRequestException for a request whose result is a text and no image
   */
  static void requireImage(Model model, Arguments asked) {
    if (model.result(asked).kind() == ResultKind.TEXT) {
      throw new InvalidRequestException(
          "Model %s writes texts, which this operator does not emit."
              .formatted(model.info().name()));
    }
  }

  static double seconds(long nanos) {
    return nanos / 1e9;
  }

  /** The request, for the failure that a sink makes of a result that is too large for it. */
  static Original original(RequestEvent request) {
    return Originals.of(request.encoded(), MOST_OF_AN_ORIGINAL, request.origin());
  }

  /**
   * The event of a request that could not be done, with the request itself.
   *
   * @param message as an exception says it; {@link FailureMessages} makes it fit to be sent
   */
  static FailureEvent failure(RequestEvent request, FailureReason reason, String message) {
    RecordPosition origin = request.origin();
    return FailureEvent.newBuilder()
        .setId(request.id())
        .setReason(reason)
        .setMessage(FailureMessages.safe(message, request.event()))
        .setOriginal(ByteBuffer.wrap(request.encoded()))
        .setTopic(origin == null ? null : origin.getTopic())
        .setPartition(origin == null ? null : origin.getPartition())
        .setOffset(origin == null ? null : origin.getOffset())
        .setAttributes(request.attributes())
        .setContext(request.context())
        .build();
  }

  /** The event of a model event that cannot be followed, with the event itself. */
  static FailureEvent failure(ModelEvent event, String why) {
    return FailureEvent.newBuilder()
        .setId(event.getId())
        .setReason(FailureReason.INVALID_REQUEST)
        .setMessage(
            FailureMessages.safe(
                "Model event %s is not followed, and model '%s' stays as it is: %s"
                    .formatted(event.getId(), event.getModel(), why),
                event))
        .setOriginal(ByteBuffer.wrap(EventCodec.models().encode(event)))
        .build();
  }

  /** A cancellation's own reason behind what it did. */
  static String cancelled(String what, CancelEvent cancel) {
    return cancel.getReason().isBlank() ? what : what + " The reason given: " + cancel.getReason();
  }

  static FailureReason reason(RequestFailure.Kind kind) {
    return switch (kind) {
      case INVALID_REQUEST -> FailureReason.INVALID_REQUEST;
      case NOT_FINITE -> FailureReason.NOT_FINITE;
      case OUT_OF_MEMORY -> FailureReason.OUT_OF_MEMORY;
      case TIMEOUT -> FailureReason.TIMEOUT;
      case CANCELLED -> FailureReason.CANCELLED;
    };
  }
}
