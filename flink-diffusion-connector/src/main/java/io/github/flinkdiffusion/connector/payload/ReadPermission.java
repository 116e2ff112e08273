/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** What the events' references may make the job read: what is below these folders. */
final class ReadPermission {
  private final List<Location> folders;

  ReadPermission(List<Location> folders) {
    this.folders = List.copyOf(folders);
  }

  /**
   * The place that a reference means.
   *
   * <p>On the local file system, links are followed here, and what they lead to must be a file
   * below the folder too; the place that comes back has none.
   *
   * @throws PayloadException when it is no accepted URI, not below a folder, or not there
   */
  Location check(String uri) {
    Location location = Location.parse(uri);
    Location folder =
        folders.stream()
            .filter(location::isBelow)
            .findFirst()
            .orElseThrow(() -> outside(location, "is not below"));
    return location.isLocal() ? withoutLinks(location, folder) : location;
  }

  private Location withoutLinks(Location location, Location folder) {
    try {
      Path real = location.toLocalPath().toRealPath();
      if (!real.startsWith(folder.toLocalPath().toRealPath())) {
        throw outside(location, "leads through a link out of");
      }
      if (!Files.isRegularFile(real)) {
        throw new PayloadException(
            PayloadException.Kind.REFUSED,
            "Cannot read payload %s: it is not a file.".formatted(location));
      }
      return new Location(
          Location.LOCAL_SCHEME, "", List.of(real.toString().substring(1).split("/")));
    } catch (NoSuchFileException e) {
      throw Files.isDirectory(folder.toLocalPath())
          ? new PayloadException(
              PayloadException.Kind.MISSING,
              "Cannot read payload %s: there is no such file.".formatted(location),
              e)
          : new PayloadException(
              PayloadException.Kind.UNAVAILABLE,
              "Cannot read payload %s: the folder %s, which this job may read, does not exist."
                  .formatted(location, folder),
              e);
    } catch (IOException e) {
      throw FileTrouble.of(e).reading(location.toString(), e);
    }
  }

  private PayloadException outside(Location location, String how) {
    return new PayloadException(
        PayloadException.Kind.REFUSED,
        folders.isEmpty()
            ? "Cannot read payload %s: this job may not read files. Set %s."
                .formatted(location, PayloadOptions.ALLOWED_PREFIXES.key())
            : "Cannot read payload %s: it %s the folders that this job may read: %s (%s)."
                .formatted(
                    location,
                    how,
                    folders.stream().map(Location::toString).collect(Collectors.joining(", ")),
                    PayloadOptions.ALLOWED_PREFIXES.key()));
  }
}
