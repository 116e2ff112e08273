/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import io.github.flinkdiffusion.connector.payload.PayloadException.Kind;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.List;

/**
 * Why a file cannot be read: whether the path is to blame, or a file system that may answer later.
 *
 * <p>Java gives few of the operating system's errors a class. The others are told by their text,
 * which is that of the C library in English, or in front of it, in parentheses at the end, a path
 * ({@code java.io}). Flink's file systems and Hadoop's pass both on, as causes or in messages.
 */
record FileTrouble(Kind kind, String what) {

  /** Of a path that no attempt will get through. */
  private static final List<String> FINAL =
      List.of(
          "Not a directory",
          "File name too long",
          "Too many levels of symbolic links",
          "Permission denied",
          "Is a directory",
          "Invalid argument");

  /** Of a system that may do it later. */
  private static final List<String> PASSING =
      List.of(
          "Too many open files",
          "Input/output error",
          "No space left on device",
          "Stale file handle",
          "Cannot allocate memory",
          "Connection timed out",
          "Transport endpoint is not connected",
          "Resource temporarily unavailable");

  static FileTrouble of(IOException e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      String message = cause.getMessage() == null ? "" : cause.getMessage();
      for (String text : PASSING) {
        if (says(message, text)) {
          return new FileTrouble(Kind.UNAVAILABLE, text);
        }
      }
      for (String text : FINAL) {
        if (says(message, text)) {
          return new FileTrouble(Kind.REFUSED, text);
        }
      }
      if (cause instanceof AccessDeniedException) {
        return new FileTrouble(Kind.REFUSED, "Permission denied");
      }
      if (cause instanceof NotDirectoryException) {
        return new FileTrouble(Kind.REFUSED, "Not a directory");
      }
      if (cause instanceof FileSystemLoopException) {
        return new FileTrouble(Kind.REFUSED, "Too many levels of symbolic links");
      }
      if (cause instanceof InvalidPathException) {
        return new FileTrouble(Kind.REFUSED, "Invalid path");
      }
      if (cause instanceof NoSuchFileException || cause instanceof FileNotFoundException) {
        return new FileTrouble(Kind.MISSING, "there is no such file");
      }
    }
    // A file system's own text names a path of this machine in front of the reason.
    return new FileTrouble(
        Kind.UNAVAILABLE,
        e instanceof FileSystemException system
            ? system.getReason() == null ? e.getClass().getSimpleName() : system.getReason()
            : e.getMessage() == null ? e.toString() : e.getMessage());
  }

  private static boolean says(String message, String text) {
    return message.equals(text)
        || message.endsWith("(" + text + ")")
        || message.endsWith(": " + text)
        || message.contains(": " + text + " or ");
  }

  /**
   * @param uri as the sender wrote it
   */
  PayloadException reading(String uri, IOException cause) {
    return new PayloadException(kind, "Cannot read payload %s: %s.".formatted(uri, what), cause);
  }
}
