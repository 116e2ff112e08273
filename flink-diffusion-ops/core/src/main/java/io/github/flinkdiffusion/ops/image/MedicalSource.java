/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Collections;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;

/**
 * What a DICOM or NIfTI file made of an image has to say of the file that the image came from.
 * Other kinds of files hold none of it.
 *
 * @param place in the patient
 * @param attributes texts of the DICOM file by their tags, among them those that identify it; of
 *     the patient only if {@link ReadOptions#patientData()} asked for them
 * @param identified whether they did
 */
@Internal
public record MedicalSource(
    Optional<SlicePlace> place, SortedMap<Integer, String> attributes, boolean identified) {

  public MedicalSource {
    attributes = Collections.unmodifiableSortedMap(new TreeMap<>(attributes));
  }

  MedicalSource withPlace(Optional<SlicePlace> other) {
    return new MedicalSource(other, attributes, identified);
  }

  /** An attribute; empty if it is missing or has no value. */
  String attribute(int tag) {
    return attributes.getOrDefault(tag, "");
  }
}
