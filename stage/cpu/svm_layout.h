/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: offsets into struct stage_svm_registers that svm_enter.S uses; svm.c asserts them. */
#ifndef STAGE_SVM_LAYOUT_H
#define STAGE_SVM_LAYOUT_H

#define SVM_RBX 512
#define SVM_RCX 520
#define SVM_RDX 528
#define SVM_RSI 536
#define SVM_RDI 544
#define SVM_RBP 552
#define SVM_R8  560
#define SVM_R9  568
#define SVM_R10 576
#define SVM_R11 584
#define SVM_R12 592
#define SVM_R13 600
#define SVM_R14 608
#define SVM_R15 616

#endif
