/* The library from C, and from whatever calls C: networks, simulation, derivatives, errors, in
 * double precision. What the arguments mean, their units and what is refused is as in the C++
 * headers (network.hpp, simulate.hpp, gradient.hpp); equations in MATH.md.
 *
 * Every function that can fail returns a status, and leaves its message in snnfp_last_error().
 * Results are written through the last pointers, and mean something only where the status is
 * SNNFP_OK. Arrays that are given are copied. Handles belong to the caller, who frees them; freeing
 * NULL does nothing.
 *
 * Threads: several may use one network or record as long as none changes or frees it. */

#ifndef SNNFP_SNNFP_H
#define SNNFP_SNNFP_H

#include <stdint.h>

#include "snnfp/export.hpp" /* a macro, no C++ */

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t snnfp_status;
enum {
  SNNFP_OK = 0,
  SNNFP_INVALID_ARGUMENT = 1, /* what cannot be meant */
  SNNFP_EVENT_LIMIT = 2,      /* firing that runs away */
  SNNFP_CLOCK = 3,            /* times too large to resolve a time constant */
  SNNFP_RECORDED_SPIKES = 4,  /* a recording that the network cannot have fired */
  SNNFP_NO_MEMORY = 5,
  SNNFP_STOPPED = 6, /* by snnfp_options.poll */
  SNNFP_FAILED = 7   /* by the system */
};

/* Why the last call of this thread that failed did so; "" before one did. Valid until the next
 * failure in this thread. */
SNNFP_EXPORT const char* snnfp_last_error(void);

/* Such as "0.1.0". */
SNNFP_EXPORT const char* snnfp_version(void);

/* -- networks ----------------------------------------------------------------------------------
 * Input groups and populations are numbered together, from 0 on in the order they are added, and so
 * are projections among themselves. */

typedef struct snnfp_network snnfp_network;

SNNFP_EXPORT snnfp_status snnfp_network_new(snnfp_network** network);
SNNFP_EXPORT void snnfp_network_free(snnfp_network* network);

SNNFP_EXPORT snnfp_status snnfp_add_input(snnfp_network* network, const char* name, int32_t size,
                                          int32_t* group);

/* Neurons of one tau_mem and tau_syn; their other parameters are threshold 1, v_reset 0,
 * t_refractory 0, bias 0, capacitance 1, all of which snnfp_set_neuron changes. `max_spikes`: of a
 * neuron in a sample; 0: any number. */
SNNFP_EXPORT snnfp_status snnfp_add_population(snnfp_network* network, const char* name,
                                               int32_t size, double tau_mem, double tau_syn,
                                               int64_t max_spikes, int32_t* group);

enum {
  SNNFP_TAU_MEM = 0,
  SNNFP_TAU_SYN = 1,
  SNNFP_THRESHOLD = 2,
  SNNFP_V_RESET = 3,
  SNNFP_T_REFRACTORY = 4,
  SNNFP_BIAS = 5,
  SNNFP_CAPACITANCE = 6
};

/* One value for all neurons of the population, or one each. */
SNNFP_EXPORT snnfp_status snnfp_set_neuron(snnfp_network* network, int32_t group, int32_t parameter,
                                           const double* values, int64_t count);

/* One weight for all synapses, or one each, row-major [source, target]; one delay for the
 * projection, or one a synapse. `name` NULL: "<source>_to_<target>". */
SNNFP_EXPORT snnfp_status snnfp_connect_dense(snnfp_network* network, int32_t source,
                                              int32_t target, const double* weight,
                                              int64_t weight_count, const double* delay,
                                              int64_t delay_count, const char* name,
                                              int32_t* projection);

/* Unit i to neuron i. */
SNNFP_EXPORT snnfp_status snnfp_connect_one_to_one(snnfp_network* network, int32_t source,
                                                   int32_t target, const double* weight,
                                                   int64_t weight_count, const double* delay,
                                                   int64_t delay_count, const char* name,
                                                   int32_t* projection);

/* The synapses of source unit i are [row_offsets[i], row_offsets[i + 1]), each with its target
 * neuron; `row_offsets` has one value more than `source` has units. `weight_of` NULL: a weight for
 * all or one a synapse; else synapse k has weight[weight_of[k]], which others may have too, or is
 * absent where that is -1. */
SNNFP_EXPORT snnfp_status snnfp_connect_sparse(snnfp_network* network, int32_t source,
                                               int32_t target, const int64_t* row_offsets,
                                               const int32_t* targets, const double* weight,
                                               int64_t weight_count, const int32_t* weight_of,
                                               const double* delay, int64_t delay_count,
                                               const char* name, int32_t* projection);

SNNFP_EXPORT snnfp_status snnfp_set_weight(snnfp_network* network, int32_t projection,
                                           const double* values, int64_t count);

enum {
  SNNFP_DELAY_PER_PROJECTION = 0,
  SNNFP_DELAY_PER_SOURCE = 1,
  SNNFP_DELAY_PER_TARGET = 2,
  SNNFP_DELAY_PER_SYNAPSE = 3,
  SNNFP_DELAY_PER_WEIGHT = 4
};

SNNFP_EXPORT snnfp_status snnfp_set_delay(snnfp_network* network, int32_t projection, int32_t per,
                                          const double* values, int64_t count);

/* -- simulation ------------------------------------------------------------------------------- */

/* Spikes of a batch on one group: sample s has [offsets[s], offsets[s + 1]); times do not decrease
 * within it; units are channels of an input group. `offsets` has one value more than samples. */
typedef struct snnfp_spikes {
  const double* times;
  const int32_t* units;
  const int64_t* offsets;
  int64_t samples;
} snnfp_spikes;

/* As snnfp_options_init sets them: until infinity, samples 0, spike_limit 10000, n_threads 0,
 * first_spikes_of and stop_after none, poll none. */
typedef struct snnfp_options {
  double until;
  int64_t samples;                /* of a network without input groups */
  int64_t spike_limit;            /* of one neuron in one sample; more is an error */
  const int32_t* first_spikes_of; /* populations that are not followed beyond first spikes */
  const int32_t* stop_after;      /* a sample ends when all neurons of these have fired */
  int32_t first_spikes_of_count;
  int32_t stop_after_count;
  int32_t n_threads;              /* 0: what the machine offers */
  int32_t (*poll)(void* context); /* by the calling thread now and then; not 0: stop */
  void* context;                  /* handed to it */
} snnfp_options;

SNNFP_EXPORT void snnfp_options_init(snnfp_options* options);

typedef struct snnfp_record snnfp_record;

/* One entry of `inputs` an input group, in the order they were added. `options` NULL: as
 * initialised. A record keeps what it was made of: the network may change or go. */
SNNFP_EXPORT snnfp_status snnfp_simulate(const snnfp_network* network, const snnfp_spikes* inputs,
                                         int32_t input_count, const snnfp_options* options,
                                         snnfp_record** record);

/* The record of spikes that something else fired: units are neurons numbered through the
 * populations, and V is held against the threshold to within `tolerance`. */
SNNFP_EXPORT snnfp_status snnfp_record_from_spikes(const snnfp_network* network,
                                                   const snnfp_spikes* inputs, int32_t input_count,
                                                   const snnfp_spikes* spikes, double tolerance,
                                                   const snnfp_options* options,
                                                   snnfp_record** record);

SNNFP_EXPORT void snnfp_record_free(snnfp_record* record);

/* The spikes of all populations, by (time, neuron) within a sample; neurons are numbered through
 * the populations. The arrays belong to the record. */
SNNFP_EXPORT snnfp_status snnfp_record_spikes(const snnfp_record* record, snnfp_spikes* spikes);

/* The number of a population's first neuron in a record. */
SNNFP_EXPORT snnfp_status snnfp_first_neuron(const snnfp_record* record, int32_t group,
                                             int32_t* neuron);

/* Index of each neuron's first spike in each sample, [samples, neurons of the population], -1:
 * none. `count` is the room in `indices`, and must be what is written. */
SNNFP_EXPORT snnfp_status snnfp_first_spikes(const snnfp_record* record, int32_t group,
                                             int64_t* indices, int64_t count);

/* V of chosen neurons at chosen times, [samples, neurons, times]. */
SNNFP_EXPORT snnfp_status snnfp_voltages(const snnfp_record* record, const int32_t* neurons,
                                         int64_t neuron_count, const double* times,
                                         int64_t time_count, double* voltages, int64_t count);

/* -- derivatives of spike times --------------------------------------------------------------- */

enum { SNNFP_WRT_NEURON = 0, SNNFP_WRT_WEIGHT = 1, SNNFP_WRT_DELAY = 2, SNNFP_WRT_INPUT_TIMES = 3 };

/* A parameter array, or the times of an input group. */
typedef struct snnfp_parameter {
  int32_t kind;
  int32_t index;  /* the group; of weights and delays, the projection */
  int32_t neuron; /* of SNNFP_WRT_NEURON: SNNFP_TAU_MEM and the like */
} snnfp_parameter;

/* Where the values of each parameter begin in what follows, and at last how many there are:
 * `offsets` has parameter_count + 1. */
SNNFP_EXPORT snnfp_status snnfp_layout(const snnfp_record* record, const snnfp_parameter* wrt,
                                       int32_t parameter_count, int64_t* offsets);

/* The adjoint: sum over spikes of cotangents[k] dt[k] / dparameter. `count` is the layout's. */
SNNFP_EXPORT snnfp_status snnfp_vjp(const snnfp_record* record, const double* cotangents,
                                    int64_t spike_count, const snnfp_parameter* wrt,
                                    int32_t parameter_count, int32_t n_threads, double* gradient,
                                    int64_t count);

/* Forward propagation: the derivative of every spike along one direction of the parameters. */
SNNFP_EXPORT snnfp_status snnfp_jvp(const snnfp_record* record, const double* tangents,
                                    int64_t count, const snnfp_parameter* wrt,
                                    int32_t parameter_count, int32_t n_threads, double* derivatives,
                                    int64_t spike_count);

/* Forward propagation: dt[rows[i]] / dparameter, row-major [rows, layout]. */
SNNFP_EXPORT snnfp_status snnfp_jacobian(const snnfp_record* record, const int64_t* rows,
                                         int64_t row_count, const snnfp_parameter* wrt,
                                         int32_t parameter_count, int32_t n_threads,
                                         double* derivatives, int64_t count);

#ifdef __cplusplus
}
#endif

#endif
