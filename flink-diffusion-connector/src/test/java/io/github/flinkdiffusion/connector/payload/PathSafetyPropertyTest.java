/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tuple;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import net.jqwik.api.statistics.Statistics;
import net.jqwik.api.statistics.StatisticsReport;
import org.apache.flink.util.FileUtils;

/**
 * Whatever an event's URI says, nothing outside of the allowed folder is read. The judge is the
 * operating system: it says where a path that was accepted leads.
 */
class PathSafetyPropertyTest {
  private static Path root;
  private static Path allowed;
  private static ReadPermission permission;

  /**
   *
   *
   * <pre>
   * secret.png   in/a.png   in/sub/b.png   in-other/c.png
   * in/out -> ..   in/link.png -> ../secret.png   in/sub/up.png -> ../a.png   in/loop -> loop
   * </pre>
   */
  @BeforeContainer
  static void makeFiles() throws IOException {
    root = Files.createTempDirectory("path-safety").toRealPath();
    allowed = Files.createDirectories(root.resolve("in"));
    Files.createDirectories(root.resolve("in/sub"));
    Files.createDirectories(root.resolve("in-other"));
    for (String file : List.of("secret.png", "in/a.png", "in/sub/b.png", "in-other/c.png")) {
      Files.writeString(root.resolve(file), file);
    }
    Files.createSymbolicLink(root.resolve("in/out"), Path.of(".."));
    Files.createSymbolicLink(root.resolve("in/link.png"), Path.of("../secret.png"));
    Files.createSymbolicLink(root.resolve("in/sub/up.png"), Path.of("../a.png"));
    Files.createSymbolicLink(root.resolve("in/loop"), Path.of("loop"));
    permission = new ReadPermission(List.of(Location.parseFolder("file:" + allowed)));
  }

  @AfterContainer
  static void deleteFiles() throws IOException {
    FileUtils.deleteDirectory(root.toFile());
  }

  @Provide
  static Arbitrary<String> uris() {
    Arbitrary<String> beginning =
        Arbitraries.of(
            "file:" + allowed,
            "file:" + allowed,
            "file:" + allowed,
            "file://" + allowed,
            "file://" + allowed,
            "FILE:" + allowed,
            "file:/" + allowed,
            "file://localhost" + allowed,
            "file:" + root,
            "jar:file:" + allowed,
            "s3:/" + allowed,
            allowed.toString(),
            "");
    Arbitrary<String> good =
        Arbitraries.of("a.png", "sub", "b.png", "up.png", "out", "in", "link.png");
    Arbitrary<String> any =
        Arbitraries.of(
            "a.png",
            "sub",
            "b.png",
            "up.png",
            "out",
            "link.png",
            "loop",
            "in",
            "in-other",
            "secret.png",
            "c.png",
            ".",
            "..",
            "...",
            "%2e%2e",
            "..%2f",
            "%2E%2E%2Fsecret.png",
            "",
            "..\\",
            "..;",
            "a.png?x",
            "a.png#x",
            "a\u0000.png",
            "\n",
            "\uD800",
            "\uFF0E\uFF0E",
            "\u2025",
            "~",
            "$HOME",
            " ",
            " ..");
    Arbitrary<String> part = Arbitraries.frequencyOf(Tuple.of(1, good), Tuple.of(1, any));
    Arbitrary<String> separator =
        Arbitraries.frequency(
            Tuple.of(8, "/"),
            Tuple.of(1, "//"),
            Tuple.of(1, "\\"),
            Tuple.of(1, "%2f"),
            Tuple.of(1, ""));
    Arbitrary<List<String>> rest =
        Combinators.combine(separator, part).as(String::concat).list().ofMinSize(1).ofMaxSize(4);
    return Combinators.combine(beginning, rest)
        .as((begin, parts) -> begin + String.join("", parts));
  }

  @Property(tries = 20_000)
  @StatisticsReport(onFailureOnly = true)
  void whatIsAcceptedLeadsToAFileInTheFolder(@ForAll("uris") String uri) throws IOException {
    Location location;
    try {
      location = permission.check(uri);
      Statistics.collect("accepted");
    } catch (PayloadException e) {
      Statistics.collect("refused");
      assertThat(e.kind())
          .isIn(
              PayloadException.Kind.REFUSED,
              PayloadException.Kind.MISSING,
              PayloadException.Kind.UNAVAILABLE);
      Statistics.coverage(seen -> seen.check("accepted").percentage(share -> share > 1));
      return;
    }
    Path opened = Path.of(location.toPath().getPath()).toRealPath();
    assertThat(opened).startsWith(allowed).isRegularFile();
    assertThat(Files.readString(opened)).startsWith("in/");
    assertThat(location.toLocalPath()).as("links are resolved already").isEqualTo(opened);
  }

  @Property(tries = 5_000)
  void anAcceptedUriHasOneMeaningOnly(@ForAll("uris") String uri) {
    Location location;
    try {
      location = Location.parse(uri);
    } catch (PayloadException e) {
      return;
    }
    assertThat(Location.parse(location.toString())).isEqualTo(location);
    assertThat(location.toPath().getPath())
        .as("Flink normalises nothing away")
        .isEqualTo("/" + String.join("/", location.segments()));
    assertThat(java.nio.file.Path.of(location.toPath().getPath()).normalize().toString())
        .isEqualTo(location.toPath().getPath());
  }

  @Example
  void filesInTheFolderAreAcceptedAlsoThroughLinksWithinIt() {
    for (String file : List.of("a.png", "sub/b.png", "sub/up.png")) {
      assertThat(permission.check("file:" + allowed + "/" + file).isLocal()).isTrue();
      assertThat(permission.check("FILE://" + allowed + "/" + file).isLocal()).isTrue();
    }
  }

  @Example
  void aLinkOutAndBackInEndsInTheFolder() {
    assertThat(permission.check("file:" + allowed + "/out/in/a.png").toLocalPath())
        .isEqualTo(allowed.resolve("a.png"));
  }

  @Example
  void waysOutAreRefused() {
    for (String way :
        List.of(
            "/../secret.png",
            "/out/secret.png",
            "/link.png",
            "-other/c.png",
            "/%2e%2e/secret.png",
            "/sub/../a.png",
            "//a.png",
            "/./a.png",
            "/a.png?",
            "",
            "/")) {
      assertThatThrownBy(() -> permission.check("file:" + allowed + way))
          .as(way)
          .isInstanceOfSatisfying(
              PayloadException.class,
              e -> assertThat(e.kind()).isEqualTo(PayloadException.Kind.REFUSED));
    }
  }

  @Example
  void prefixesOfObjectStoresAreWholeNamesToo() {
    ReadPermission scans =
        new ReadPermission(
            List.of(Location.parseFolder("s3://scans/in"), Location.parseFolder("s3://all/")));
    assertThat(scans.check("s3://scans/in/a b.tif").toPath().toString())
        .isEqualTo("s3://scans/in/a b.tif");
    assertThat(scans.check("S3://all/x").toString()).isEqualTo("s3://all/x");
    for (String uri :
        List.of(
            "s3://scans/in",
            "s3://scans/in2/a",
            "s3://scans2/in/a",
            "s3a://scans/in/a",
            "s3://me@scans/in/a",
            "s3://scans:80/in/a",
            "s3://allx/a",
            "s3:/scans/in/a",
            "s3://scans/in/" + "a".repeat(3000))) {
      assertThatThrownBy(() -> scans.check(uri)).as(uri).isInstanceOf(PayloadException.class);
    }
  }
}
