/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Files with frames: those of animations as Pillow shows them; see make_frames_fixtures.py. */
class ImageFramesTest {
  private static final Path FRAMES = Path.of("src/test/resources/fixtures/frames");
  private static final Path PHOTOS = Path.of("src/test/resources/fixtures/photos");

  private static List<byte[]> frames(byte[] file) {
    List<byte[]> frames = new ArrayList<>();
    ImageFrames.each(file, ImageLimits.DEFAULT, frames::add);
    return frames;
  }

  static Stream<String> animations() throws IOException {
    List<String> names = new ArrayList<>();
    expected().fieldNames().forEachRemaining(names::add);
    assertThat(names).hasSize(9);
    return names.stream();
  }

  private static JsonNode expected() throws IOException {
    return new ObjectMapper().readTree(FRAMES.resolve("expected.json").toFile());
  }

  @ParameterizedTest
  @MethodSource("animations")
  void framesAreThoseThatPillowShows(String name) throws IOException {
    JsonNode expected = expected().get(name);
    List<byte[]> frames = frames(Files.readAllBytes(FRAMES.resolve(name)));
    assertThat(frames).hasSameSizeAs(expected);
    for (int i = 0; i < frames.size(); i++) {
      Raster frame = PngCodec.decode(frames.get(i));
      JsonNode values = expected.get(i);
      assertThat(values).hasSize(4 * frame.width() * frame.height());
      for (int at = 0; at < values.size(); at++) {
        int pixel = at / 4;
        float opacity =
            frame.channels() < 4 ? 1 : frame.at(3, pixel / frame.width(), pixel % frame.width());
        int c = at % 4;
        if (c < 3 && opacity == 0) {
          continue; // nobody sees its color
        }
        float value = c == 3 ? opacity : frame.at(c, pixel / frame.width(), pixel % frame.width());
        assertThat(Math.abs(value * 255 - values.get(at).asInt()))
            .as("frame %d, pixel %d, channel %d", i, pixel, c)
            .isLessThanOrEqualTo(1.01f);
      }
    }
  }

  @Test
  void whatIsHalfClearIsMixedAsPngSays() {
    FrameCanvas canvas = new FrameCanvas(1, 1);
    canvas.put(new Raster(4, 1, 1, new float[] {1, 0, 0, 0.5f}), 0, 0, false);
    canvas.put(new Raster(2, 1, 1, new float[] {1, 0.5f}), 0, 0, true);
    Raster shown = PngCodec.decode(canvas.png());
    // 0.5 over 0.5 is 0.75; red is white everywhere, green of 0.5 / 0.75.
    assertThat(shown.data())
        .containsExactly(new float[] {1, 2 / 3f, 2 / 3f, 191 / 255f}, within(1 / 254f));
  }

  private static List<byte[]> photos() throws IOException {
    try (Stream<Path> files = Files.list(PHOTOS)) {
      List<byte[]> photos = new ArrayList<>();
      for (Path file : files.filter(each -> each.toString().endsWith(".jpg")).sorted().toList()) {
        photos.add(Files.readAllBytes(file));
      }
      assertThat(photos).hasSizeGreaterThan(3);
      return photos;
    }
  }

  @Test
  void motionJpegIsJpegFilesOneAfterTheOther() throws IOException {
    List<byte[]> photos = photos();
    ByteArrayOutputStream joined = new ByteArrayOutputStream();
    ByteArrayOutputStream multipart = new ByteArrayOutputStream();
    for (byte[] photo : photos) {
      joined.writeBytes(photo);
      multipart.writeBytes(
          "--frame\r\nContent-Type: image/jpeg\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
      multipart.writeBytes(photo);
      multipart.writeBytes("\r\n".getBytes(StandardCharsets.US_ASCII));
    }
    assertThat(frames(joined.toByteArray())).containsExactlyElementsOf(photos);
    assertThat(frames(multipart.toByteArray())).containsExactlyElementsOf(photos);
  }

  @Test
  void nobodyReadsOnWhoWantsNoMore() throws IOException {
    List<byte[]> files =
        List.of(
            Files.readAllBytes(FRAMES.resolve("plain.gif")),
            Files.readAllBytes(FRAMES.resolve("plain.png")));
    for (byte[] file : files) {
      List<byte[]> two = new ArrayList<>();
      ImageFrames.each(
          file,
          ImageLimits.DEFAULT,
          frame -> {
            two.add(frame);
            return two.size() < 2;
          });
      assertThat(two).hasSize(2);
      assertThatThrownBy(
              () ->
                  ImageFrames.each(
                      file,
                      ImageLimits.DEFAULT,
                      frame -> {
                        throw new IllegalStateException("mine");
                      }))
          .as("what a reader of frames throws is no fault of the file")
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("mine");
    }
  }

  @Test
  void anyOtherImageIsOneFrame() throws IOException {
    byte[] png = PngCodec.encode(Raster.filled(3, 4, 5, 0.5f));
    assertThat(frames(png)).containsExactly(png);
    assertThat(frames(new byte[] {1, 2})).containsExactly(new byte[] {1, 2});
    byte[] photo = photos().get(0);
    assertThat(frames(photo)).containsExactly(photo);
  }

  @Test
  void whatIsTooMuchOrNotSupportedIsRefusedByName() throws IOException {
    ImageLimits small = ImageLimits.DEFAULT.withPixels(100, 100);
    for (String name : List.of("plain.gif", "plain.png")) {
      byte[] file = Files.readAllBytes(FRAMES.resolve(name));
      assertThatThrownBy(() -> ImageFrames.each(file, small, frame -> true))
          .isInstanceOf(ImageException.class)
          .hasMessageContaining("12 x 9");
    }
    byte[] avi = "RIFF....AVI ....".getBytes(StandardCharsets.US_ASCII);
    assertThatThrownBy(() -> frames(avi))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("An AVI file")
        .hasMessageContaining("ffmpeg");
  }

  @Test
  void damagedFilesAreRefusedAndNeverEndInAnythingElse() throws IOException {
    List<byte[]> files = new ArrayList<>(List.of(photos().get(0)));
    for (String name : List.of("cleared.gif", "over.png")) {
      files.add(Files.readAllBytes(FRAMES.resolve(name)));
    }
    Random random = new Random(3);
    int refused = 0;
    for (byte[] file : files) {
      for (int i = 0; i < 100; i++) {
        byte[] damaged =
            i % 2 == 0 ? file.clone() : Arrays.copyOf(file, 20 + random.nextInt(file.length - 20));
        damaged[random.nextInt(damaged.length)] ^= (byte) (1 << random.nextInt(8));
        try {
          ImageFrames.each(damaged, ImageLimits.DEFAULT, frame -> true);
        } catch (ImageException e) {
          refused++;
        }
      }
    }
    assertThat(refused).isGreaterThan(100);
  }
}
