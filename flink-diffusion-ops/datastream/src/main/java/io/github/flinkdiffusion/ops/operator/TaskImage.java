/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadChannel;
import io.github.flinkdiffusion.connector.payload.PayloadFile;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.credentials.PriorCredentials;
import io.github.flinkdiffusion.ops.image.DecodedSize;
import io.github.flinkdiffusion.ops.image.FarFile;
import io.github.flinkdiffusion.ops.image.FileSlices;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageKind;
import io.github.flinkdiffusion.ops.image.ImageLimits;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SlicePlace;
import io.github.flinkdiffusion.ops.image.SlicePlane;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.imaging.Composition;
import io.github.flinkdiffusion.ops.imaging.ModelBands;
import io.github.flinkdiffusion.ops.imaging.Scene;
import io.github.flinkdiffusion.ops.imaging.Selection;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * An image of a request as a file, whose header alone has been looked at; or several slices of a
 * volume, in one file or in the files of a {@link SliceList}.
 */
final class TaskImage implements AutoCloseable {
  private final String field;
  private final String digest;
  private final PageRange pages;
  private final SlicePlane plane;
  private final Selection selection;
  private final Files files;

  /**
   * Where the slices are.
   *
   * @param inline a file in memory
   * @param file on this machine
   * @param unpacked the same without compression, made for this request
   * @param list of files that are fetched when their slices are read
   * @param remote read where it lies
   */
  private record Files(
      Optional<byte[]> inline,
      Optional<PayloadFile> file,
      Optional<Path> unpacked,
      Optional<SliceList> list,
      Optional<Remote> remote,
      PayloadStore payloads,
      Path scratch) {

    static Files of(PayloadStore payloads, Path scratch) {
      return new Files(
          Optional.empty(),
          Optional.empty(),
          Optional.empty(),
          Optional.empty(),
          Optional.empty(),
          payloads,
          scratch);
    }

    Files inline(byte[] bytes) {
      return new Files(Optional.of(bytes), file, unpacked, list, remote, payloads, scratch);
    }

    Files file(PayloadFile other) {
      return new Files(inline, Optional.of(other), unpacked, list, remote, payloads, scratch);
    }

    Files unpacked(Optional<Path> other) {
      return new Files(inline, file, other, list, remote, payloads, scratch);
    }

    Files list(SliceList other) {
      return new Files(inline, file, unpacked, Optional.of(other), remote, payloads, scratch);
    }

    Files remote(Remote other) {
      return new Files(inline, file, unpacked, list, Optional.of(other), payloads, scratch);
    }

    Path path() {
      return unpacked.orElseGet(() -> file.orElseThrow().path());
    }

    void close() {
      file.ifPresent(PayloadFile::close);
      unpacked.ifPresent(Composition::deleteQuietly);
      remote.ifPresent(open -> open.scene().close());
    }
  }

  /**
   * A file that is read where it lies.
   *
   * @param scene of what is selected, open already: looking at its header costs requests
   */
  private record Remote(PayloadChannel channel, Scene scene) {}

  private TaskImage(
      String field,
      String digest,
      PageRange pages,
      SlicePlane plane,
      Selection selection,
      Files files) {
    this.field = field;
    this.digest = digest;
    this.pages = pages;
    this.plane = plane;
    this.selection = selection;
    this.files = files;
  }

  /**
   * Fetches what a task works on; of a list of slices, nothing yet.
   *
   * @throws InvalidRequestException if it names slices that are not there, or too many
   * @throws ImageException for a file that cannot be read
   */
  static TaskImage fetch(
      ImageTaskEvent event, ImageSettings settings, PayloadStore payloads, Path scratch) {
    String option = ImageTaskOptions.MAX_SLICES.key();
    int most = settings.maxSlices();
    SlicePlane plane = Events.plane(event);
    Selection selection = Selection.of(event.getParameters());
    Optional<PageRange> pages = Events.pages(event);
    Optional<SliceList> list = SliceList.of(event.getImage(), payloads, most, option);
    String digest = digest(event.getImage());
    if (list.isPresent()) {
      requireAll(selection);
      PageRange all = pages.orElse(PageRange.WHOLE);
      PageRange range = all.within(list.get().slices().size(), "the list of slices", most, option);
      return new TaskImage(
          OpenImageTask.IMAGE,
          digest,
          range,
          plane,
          selection,
          Files.of(payloads, scratch).list(list.get()));
    }
    PageRange range = pages.orElse(PageRange.FIRST);
    if (range.isOne()) {
      return one(
          OpenImageTask.IMAGE,
          event.getImage(),
          range,
          plane,
          selection,
          settings,
          Files.of(payloads, scratch),
          payloads.readsByRanges());
    }
    requireAll(selection);
    Files files = Files.of(payloads, scratch).file(payloads.open(event.getImage(), scratch));
    try {
      ReadOptions reading = settings.reading().withPlane(plane);
      FileSlices slices = FileSlices.of(files.path(), reading);
      if (slices.kind() != ImageKind.DICOM && slices.kind() != ImageKind.NIFTI) {
        throw new InvalidRequestException(
            ("%s is '%s', but the image is %s; only DICOM and NIfTI files can be processed as"
                    + " several slices.")
                .formatted(Events.PAGE, range, slices.kind().mediaType()));
      }
      range = range.within(slices.count(), "the file", most, option);
      if (range.first() / slices.ofVolume() != range.last() / slices.ofVolume()) {
        throw new InvalidRequestException(
            "%s is '%s', but the file's volumes have %d slices each; name those of one volume, such as 0-%d."
                .formatted(Events.PAGE, range, slices.ofVolume(), slices.ofVolume() - 1));
      }
      files = files.unpacked(Scene.unpacked(files.path(), scratch));
      return new TaskImage(OpenImageTask.IMAGE, digest, range, plane, selection, files);
    } catch (RuntimeException | Error e) {
      files.close();
      throw named(OpenImageTask.IMAGE, e);
    }
  }

  /** Fetches an image file that is worked with as one image. */
  static TaskImage fetch(
      String field, Payload payload, ImageSettings settings, PayloadStore payloads, Path scratch) {
    return one(
        field,
        payload,
        PageRange.FIRST,
        SlicePlane.AXIAL,
        Selection.ALL,
        settings,
        Files.of(payloads, scratch),
        payloads.readsByRanges());
  }

  /** The same of one that is read as a whole, so that its digest is verified. */
  static TaskImage fetchWhole(
      String field, Payload payload, ImageSettings settings, PayloadStore payloads, Path scratch) {
    return one(
        field,
        payload,
        PageRange.FIRST,
        SlicePlane.AXIAL,
        Selection.ALL,
        settings,
        Files.of(payloads, scratch),
        false);
  }

  /** Where slices lie is known of whole ones. */
  private static void requireAll(Selection selection) {
    if (!selection.isAll()) {
      throw new InvalidRequestException(
          ("The request has several slices and selects a part (%s); a part can be selected of one"
                  + " image only. Send a request for each slice.")
              .formatted(String.join(", ", Selection.PARAMETERS)));
    }
  }

  /** Small files other than TIFF are read from the event, without a file in between. */
  private static TaskImage one(
      String field,
      Payload payload,
      PageRange page,
      SlicePlane plane,
      Selection selection,
      ImageSettings settings,
      Files none,
      boolean byRanges) {
    PayloadStore payloads = none.payloads();
    Optional<byte[]> inline = Payloads.inlineBytes(payload);
    Optional<Remote> remote = Optional.empty();
    if (inline.isEmpty() && byRanges) {
      ReadOptions reading = settings.reading().withPage(page.first()).withPlane(plane);
      PayloadChannel channel = payloads.openRanges(Payloads.reference(payload).orElseThrow());
      try {
        remote = remote(channel, reading, selection, settings, none.scratch());
      } catch (RuntimeException | Error e) {
        throw named(field, e);
      }
    }
    Files files =
        remote.isPresent()
            ? none.remote(remote.get())
            : inline.isPresent() && !Scene.isReadByParts(inline.get())
                ? none.inline(payloads.read(payload))
                : none.file(payloads.open(payload, none.scratch()));
    return new TaskImage(field, digest(payload), page, plane, selection, files);
  }

  /** Empty for a file of a kind that is read as a whole. */
  private static Optional<Remote> remote(
      PayloadChannel channel,
      ReadOptions reading,
      Selection selection,
      ImageSettings settings,
      Path scratch) {
    boolean open = false;
    try {
      FarFile file = new FarFile(channel, scratch);
      if (!Scene.isReadByParts(file)) {
        return Optional.empty();
      }
      Scene scene = Scene.open(file, reading, selection, settings.maxPixels());
      open = true;
      return Optional.of(new Remote(channel, settings.ranged(scene, selection)));
    } catch (IOException e) {
      throw new ImageException("Cannot read the image file: " + e, e);
    } finally {
      if (!open) {
        channel.close();
      }
    }
  }

  static String digest(Payload payload) {
    return Payloads.inlineBytes(payload)
        .map(Payloads::sha256)
        .orElseGet(() -> Payloads.reference(payload).orElseThrow().getSha256());
  }

  /** SHA-256 of the file, or of the list. */
  String digest() {
    return digest;
  }

  /** What the file says of itself; it is not fetched for that if only parts of it are read. */
  PriorCredentials credentials() {
    if (files.inline().isPresent()) {
      return PriorCredentials.of(files.inline().get());
    }
    return files
        .file()
        .map(file -> PriorCredentials.of(file.path()))
        .orElseGet(() -> PriorCredentials.unread("the file was not read as a whole"));
  }

  /** Which of the file's images it is. */
  PageRange pages() {
    return pages;
  }

  SlicePlane plane() {
    return plane;
  }

  Selection selection() {
    return selection;
  }

  /** Of a file that is read where it lies. */
  Optional<PayloadChannel> channel() {
    return files.remote().map(Remote::channel);
  }

  int slices() {
    return pages.size();
  }

  /** Whether its slices are read as images of their own, of which the first one is not enough. */
  boolean isList() {
    return files.list().isPresent();
  }

  /** What reading it, or one of its slices, takes: by its header. */
  DecodedSize size(ImageSettings settings) {
    if (isList()) {
      return ofList(0, file -> Scene.size(file, reading(settings, 0)));
    }
    return named(
        () -> {
          if (files.inline().isPresent()) {
            byte[] bytes = files.inline().get();
            byte[] head = Arrays.copyOf(bytes, Math.min(bytes.length, DecodedSize.HEAD_BYTES));
            return DecodedSize.of(head, bytes.length, ImageLimits.DEFAULT);
          }
          return files.remote().isPresent()
              ? Scene.size(files.remote().get().scene())
              : Scene.size(files.path(), reading(settings, 0), selection);
        });
  }

  private ReadOptions reading(ImageSettings settings, int slice) {
    int page = isList() ? 0 : pages.first() + slice;
    return settings.reading().withPage(page).withPlane(plane);
  }

  /** Where the slices of one file lie; empty where that is found out as they are read. */
  List<SlicePlace> places(ImageSettings settings) {
    if (slices() == 1 || isList()) {
      return List.of();
    }
    List<Optional<SlicePlace>> all = FileSlices.of(files.path(), reading(settings, 0)).places();
    return all.size() <= pages.last()
        ? List.of()
        : all.subList(pages.first(), pages.last() + 1).stream().flatMap(Optional::stream).toList();
  }

  /**
   * Opens it.
   *
   * @param prepared what is done with each slice before it is worked on
   * @throws ImageException for a file that cannot be read
   */
  TaskScenes open(ImageSettings settings, UnaryOperator<Scene> prepared) {
    return new TaskScenes(
        slices(), slice -> prepared(scene(settings, slice), prepared), files::close);
  }

  /**
   * Decodes all of it.
   *
   * @param channels that the model sees
   * @throws ImageException for a file that cannot be read, is too large, or has other bands
   */
  Raster whole(ImageSettings settings, int channels) {
    return named(
        () -> {
          try (Scene scene = opened(settings, 0)) {
            ImageLimits.DEFAULT.check(scene.width(), scene.height(), scene.channels());
            return ModelBands.fit(scene.format().bands(), scene.channels(), channels, List.of())
                .toModel(scene.read(new Window(0, 0, scene.width(), scene.height())));
          }
        });
  }

  private static Scene prepared(Scene scene, UnaryOperator<Scene> how) {
    try {
      return how.apply(scene);
    } catch (RuntimeException | Error e) {
      scene.close();
      throw e;
    }
  }

  private Scene scene(ImageSettings settings, int slice) {
    if (isList()) {
      return ofList(slice, file -> scene(file, settings, slice));
    }
    return named(() -> opened(settings, slice));
  }

  /** Of one file. An error does not say yet which field it is. */
  private Scene opened(ImageSettings settings, int slice) {
    if (files.remote().isPresent()) {
      return files.remote().get().scene();
    }
    ReadOptions reading = reading(settings, slice);
    return settings.ranged(
        files.inline().isPresent()
            ? Scene.of(files.inline().get(), reading, selection)
            : Scene.open(files.path(), reading, selection, settings.maxPixels()),
        selection);
  }

  private Scene scene(Path file, ImageSettings settings, int slice) {
    FileSlices found = FileSlices.of(file, reading(settings, slice));
    if (found.kind() != ImageKind.DICOM || found.count() > 1) {
      throw new ImageException(
          "It is %s with %d frames; slices of a list are DICOM files of one frame"
              .formatted(found.kind().mediaType(), found.count()));
    }
    return settings.ranged(Scene.open(file, reading(settings, slice), settings.maxPixels()));
  }

  private <T> T ofList(int slice, Function<Path, T> read) {
    int number = pages.first() + slice;
    try (PayloadFile file =
        files.payloads().open(files.list().orElseThrow().file(number), files.scratch())) {
      return read.apply(file.path());
    } catch (ImageException e) {
      throw new ImageException(
          "Slice %d of the request's list: %s".formatted(number, e.getMessage()), e);
    }
  }

  private <T> T named(Supplier<T> read) {
    try {
      return read.get();
    } catch (RuntimeException | Error e) {
      throw named(field, e);
    }
  }

  private static RuntimeException named(String field, Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof ImageException
        ? new ImageException("The request's %s: %s".formatted(field, e.getMessage()), e)
        : (RuntimeException) e;
  }

  @Override
  public void close() {
    files.close();
  }
}
