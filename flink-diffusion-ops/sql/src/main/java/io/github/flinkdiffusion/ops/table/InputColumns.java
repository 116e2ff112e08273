/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Ensemble;
import io.github.flinkdiffusion.ops.imaging.ModelBands;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Numbers;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeFamily;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/**
 * What the columns of a model's input mean. The column {@code id} names a request in messages and,
 * where there is no {@code seed}, gives its seed; without it, a row is named by the {@link
 * Arguments#digest digest of its arguments}, so that equal rows give equal images, also after a
 * restart, and the same image as a function called with the same arguments. The column {@code
 * ensemble_size} is the number of a row's samples, {@code model} names one of the models of the
 * option {@code models}.
 */
final class InputColumns implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final String ID = "id";
  private static final String ENSEMBLE_SIZE = "ensemble_size";
  private static final String MODEL = ModelList.PARAMETER;

  private record InputColumn(String name, String parameter, LogicalType type)
      implements Serializable {
    boolean isParameter() {
      return parameter != null;
    }
  }

  /**
   * A row taken apart; nothing of Flink's reused row is left in it.
   *
   * @param id null when the row has none
   * @param samples null when the row does not say
   * @param model null when the row names none
   * @param values of parameters; null in the places of other columns
   */
  record Values(String id, Long samples, String model, List<Object> values) {}

  private final List<InputColumn> columns;
  private transient RowData.FieldGetter[] getters;

  private InputColumns(List<InputColumn> columns) {
    this.columns = columns;
  }

  /**
   * @throws ValidationException for a column that is no parameter or has another type
   */
  static InputColumns of(ResolvedSchema schema) {
    List<InputColumn> columns = new ArrayList<>();
    for (Column column : schema.getColumns()) {
      LogicalType type = column.getDataType().getLogicalType();
      if (column.getName().equals(ID)) {
        require(column.getName(), type, type.is(LogicalTypeFamily.CHARACTER_STRING), "STRING");
        columns.add(new InputColumn(ID, null, type));
        continue;
      }
      if (column.getName().equals(MODEL)) {
        require(column.getName(), type, type.is(LogicalTypeFamily.CHARACTER_STRING), "STRING");
        columns.add(new InputColumn(MODEL, null, type));
        continue;
      }
      if (column.getName().equals(ENSEMBLE_SIZE)) {
        require(
            column.getName(), type, type.is(LogicalTypeFamily.INTEGER_NUMERIC), "INT or BIGINT");
        columns.add(new InputColumn(ENSEMBLE_SIZE, null, type));
        continue;
      }
      Parameter<?> parameter =
          Parameters.all().stream()
              .filter(each -> DiffusionModelOptions.column(each).equals(column.getName()))
              .findFirst()
              .orElseThrow(
                  () ->
                      new ValidationException(
                          "Input column '%s' is no parameter of a diffusion model; columns may be id, model, %s, ensemble_size."
                              .formatted(
                                  column.getName(),
                                  Parameters.all().stream()
                                      .map(DiffusionModelOptions::column)
                                      .collect(Collectors.joining(", ")))));
      check(column.getName(), parameter, type);
      columns.add(new InputColumn(column.getName(), parameter.name(), type));
    }
    return new InputColumns(columns);
  }

  boolean has(Parameter<?> parameter) {
    return columns.stream().anyMatch(column -> parameter.name().equals(column.parameter()));
  }

  private static void check(String name, Parameter<?> parameter, LogicalType type) {
    if (parameter.type() == String.class) {
      require(name, type, type.is(LogicalTypeFamily.CHARACTER_STRING), "STRING");
    } else if (parameter.type() == Long.class) {
      require(
          name,
          type,
          type.is(LogicalTypeFamily.INTEGER_NUMERIC) || type.is(LogicalTypeRoot.BOOLEAN),
          "BIGINT or INT");
    } else if (parameter.type() == Double.class) {
      require(name, type, type.is(LogicalTypeFamily.NUMERIC), "DOUBLE");
    } else if (parameter.type() == Raster.class) {
      require(name, type, type.is(LogicalTypeFamily.BINARY_STRING), "BYTES");
    } else {
      require(
          name,
          type,
          type.is(LogicalTypeRoot.ARRAY)
              && ((ArrayType) type).getElementType().is(LogicalTypeRoot.DOUBLE),
          "ARRAY<DOUBLE>");
    }
  }

  private static void require(String name, LogicalType type, boolean fits, String wanted) {
    if (!fits) {
      throw new ValidationException(
          "Input column '%s' is %s; it must be %s."
              .formatted(name, type.asSummaryString(), wanted));
    }
  }

  /** Copies a row's values. Cheap: pictures are not decoded. */
  Values read(RowData row) {
    if (getters == null) {
      getters = new RowData.FieldGetter[columns.size()];
      for (int i = 0; i < getters.length; i++) {
        getters[i] = RowData.createFieldGetter(columns.get(i).type(), i);
      }
    }
    String id = null;
    Long samples = null;
    String model = null;
    List<Object> values = new ArrayList<>();
    for (int i = 0; i < getters.length; i++) {
      Object value = getters[i].getFieldOrNull(row);
      if (columns.get(i).isParameter()) {
        values.add(value == null ? null : copy(value, columns.get(i).type()));
        continue;
      }
      values.add(null);
      if (columns.get(i).name().equals(ID)) {
        id = value == null ? null : value.toString();
      } else if (columns.get(i).name().equals(MODEL)) {
        model = value == null ? null : value.toString();
      } else {
        samples = value == null ? null : ((Number) value).longValue();
      }
    }
    return new Values(id, samples, model, values);
  }

  private static Object copy(Object value, LogicalType type) {
    if (value instanceof byte[] bytes) {
      return bytes.clone();
    }
    if (value instanceof ArrayData array) {
      double[] numbers = new double[array.size()];
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] = array.getDouble(i);
      }
      return new Numbers(numbers);
    }
    if (value instanceof Boolean flag) {
      return flag ? 1L : 0L;
    }
    if (value instanceof DecimalData decimal) {
      return decimal.toBigDecimal().doubleValue();
    }
    if (value instanceof Number number) {
      return type.is(LogicalTypeFamily.INTEGER_NUMERIC)
          ? (Object) number.longValue()
          : (Object) number.doubleValue();
    }
    return value.toString();
  }

  /**
   * The request that a row asks for. Decodes pictures.
   *
   * @param defaults what stands for columns that are absent or null
   * @param seen gives an image the bands that the model sees
   * @throws io.github.flinkdiffusion.ops.image.ImageException for bytes that are no picture
   */
  GenerationSpec spec(Values values, Arguments defaults, UnaryOperator<Raster> seen) {
    Arguments arguments = defaults;
    for (int i = 0; i < columns.size(); i++) {
      Object value = values.values().get(i);
      if (value != null) {
        arguments =
            with(
                arguments, Parameters.named(columns.get(i).parameter()).orElseThrow(), value, seen);
      }
    }
    return new GenerationSpec(values.id() == null ? arguments.digest() : values.id(), arguments);
  }

  private static <T> Arguments with(
      Arguments arguments, Parameter<T> parameter, Object value, UnaryOperator<Raster> seen) {
    Object converted = value;
    if (value instanceof byte[] bytes) {
      Raster picture = GenerationService.read(bytes);
      converted = parameter == Parameters.MASK ? ModelBands.gray(picture) : seen.apply(picture);
    } else if (parameter.type() == Double.class && value instanceof Long number) {
      converted = number.doubleValue();
    }
    return arguments.with(parameter, parameter.type().cast(converted));
  }

  /**
   * Samples that a row asks for.
   *
   * @param otherwise where it does not say
   * @throws InvalidRequestException when it asks for none, or for too many
   */
  static int samples(Values values, int otherwise) {
    if (values.samples() == null) {
      return otherwise;
    }
    if (values.samples() < 1 || values.samples() > Ensemble.MOST_SAMPLES) {
      throw new InvalidRequestException(
          "%s is %d; it must be from 1 to %d."
              .formatted(ENSEMBLE_SIZE, values.samples(), Ensemble.MOST_SAMPLES));
    }
    return values.samples().intValue();
  }

  /** SHA-256 of the bytes of a row's pictures, by their parameters. */
  Map<String, String> digests(Values values) {
    Map<String, String> digests = new TreeMap<>();
    for (int i = 0; i < columns.size(); i++) {
      if (values.values().get(i) instanceof byte[] picture) {
        digests.put(columns.get(i).parameter(), Sha256.hex(picture));
      }
    }
    return digests;
  }
}
